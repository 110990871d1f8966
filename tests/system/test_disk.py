"""Whether a folder can be written to is tried, and leaves nothing behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from embfact.system.disk import may_write


def test_a_folder_that_can_be_created_is_not_created(tmp_path: Path) -> None:
    assert may_write(tmp_path / "new" / "folder")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_is_not_touched(tmp_path: Path) -> None:
    before = tmp_path.stat().st_mtime_ns
    assert may_write(tmp_path)
    assert tmp_path.stat().st_mtime_ns == before


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert not may_write(tmp_path / "file")
    assert not may_write(tmp_path / "file" / "below")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="a file system that refuses what its permissions allow")
def test_permissions_are_not_trusted() -> None:
    assert not may_write(Path("/proc/new"))
