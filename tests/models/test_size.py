from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from embfact.embeddings.layout import Storage
from embfact.embeddings.rows import Rows
from embfact.errors import ModelError
from embfact.factorization.svd import SVD
from embfact.models.checkpoint import save
from embfact.models.compress import compress, embedding_tensors
from embfact.models.size import Size, model_size, saved_bytes


@pytest.fixture
def weights(tmp_path):
    """One tensor of each sort that a checkpoint may hold."""
    path = tmp_path / "model.safetensors"
    tensors = {
        "table": torch.zeros(10, 4),
        "half": torch.zeros(3, 2, dtype=torch.float16),
        "brain": torch.zeros(5, dtype=torch.bfloat16),
        "codes": torch.zeros(7, 3, dtype=torch.uint8),
        "index": torch.zeros(6, dtype=torch.int64),
        "scalar": torch.tensor(1.0, dtype=torch.float64),
    }
    save_file(tensors, path, metadata={"format": "pt"})
    return path


def test_bytes_are_those_of_every_tensor(weights):
    assert saved_bytes(weights) == 160 + 12 + 10 + 21 + 48 + 8


def test_only_the_named_tensors_are_counted_and_each_once(weights):
    assert saved_bytes(weights, ["table", "codes", "codes"]) == 160 + 21
    assert saved_bytes(weights, []) == 0


def test_the_size_in_memory_is_the_size_once_saved(dense_kind, make_model, make_tokenizer, tmp_path):
    model = make_model(dense_kind)
    compress(model, SVD(), rank=3)
    save(model, make_tokenizer(), tmp_path / "saved")
    path, names = tmp_path / "saved" / "model.safetensors", embedding_tensors(model)
    assert saved_bytes(path) == model_size(model).bytes
    assert model_size(model, names) == Size(3 * 76, 4 * 3 * 76)
    assert saved_bytes(path, names) == 4 * 3 * 76


@pytest.mark.parametrize(
    ("storage", "row"),
    [
        (Storage("float16"), 14),
        (Storage("int8"), 7 + 2 + 1),
        (Storage("int4"), 4 + 2 + 1),
        (Storage("int3"), 3 + 2 + 1),
    ],
    ids=str,
)
def test_quantized_rows_count_as_the_weights_they_stand_for(storage, row):
    rows = Rows.of(torch.randn(5, 7))
    assert model_size(rows) == Size(35, 4 * 35)
    rows.store(storage)
    assert model_size(rows) == Size(35, 5 * row)


def test_a_name_that_is_not_in_the_file_is_refused(weights):
    with pytest.raises(ModelError, match="no tensor 'tabel'"):
        saved_bytes(weights, ["table", "tabel"])


@pytest.mark.parametrize("keep", [0, 5, 60, -1])
def test_a_file_that_was_cut_is_refused(weights, keep):
    weights.write_bytes(weights.read_bytes()[:keep])
    with pytest.raises(ModelError, match=r"not a safetensors file|truncated"):
        saved_bytes(weights)


@pytest.mark.parametrize(
    "content", [b"PK\x03\x04 a pickle of old, long enough for a header", b"\x02" + bytes(7) + b"[]"]
)
def test_a_file_of_another_kind_is_refused(tmp_path, content):
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="not a safetensors file"):
        saved_bytes(path)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ModelError, match="there is no file"):
        saved_bytes(tmp_path / "model.safetensors")
