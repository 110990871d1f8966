"""Tensors on disk come back to the last bit, or not at all."""

from __future__ import annotations

import pytest
import torch

from embfact.system.tensor_files import read_tensors, write_tensors

TENSORS = {"a": torch.arange(6, dtype=torch.float64).reshape(2, 3), "b": torch.tensor([1, 2], dtype=torch.int32)}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "folder" / "kept.safetensors"
    write_tensors(path, TENSORS)
    return path


def test_they_come_back_as_they_were_and_nothing_else_is_left(path):
    found = read_tensors(path)
    assert found.keys() == TENSORS.keys()
    assert all(torch.equal(found[name], tensor) and found[name].dtype == tensor.dtype for name, tensor in found.items())
    assert list(path.parent.iterdir()) == [path]


def test_a_flipped_bit_makes_it_no_file(path):
    content = path.read_bytes()
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= 1
        path.write_bytes(bytes(changed))
        assert read_tensors(path) is None, place


@pytest.mark.parametrize("content", [b"", b"{}", b"\0" * 100])
def test_what_is_no_such_file_gives_nothing(path, content):
    path.write_bytes(content)
    assert read_tensors(path) is None
    assert read_tensors(path.parent / "absent") is None


def test_a_place_that_cannot_be_written_to_costs_the_file_alone(tmp_path, caplog):
    (tmp_path / "file").write_text("in the way")
    write_tensors(tmp_path / "file" / "kept.safetensors", TENSORS)
    assert "could not write to the cache" in caplog.text
    assert read_tensors(tmp_path / "file" / "kept.safetensors") is None
