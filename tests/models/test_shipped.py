"""What a model costs where it is used: bytes after zstd, and bytes of all tensors in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from embfact.embeddings.layout import Storage
from embfact.embeddings.low_rank import LowRankEmbedding
from embfact.models import shipped
from embfact.models.shipped import memory_bytes, zstd_bytes
from embfact.models.size import model_size
from tests.helpers.storages import STORAGES


def compressed(content: bytes, level: int = 3) -> int:
    return len(pa.Codec("zstd", compression_level=level).compress(content))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.int64, torch.uint8, torch.bool])
def test_the_bytes_of_a_safetensors_file_are_compressed(dtype: torch.dtype, tmp_path: Path) -> None:
    tensor = torch.randint(0, 3, (50, 7), generator=torch.Generator().manual_seed(0)).to(dtype)
    save_file({"one": tensor, "none": torch.zeros(0)}, tmp_path / "model.safetensors")
    raw = (tmp_path / "model.safetensors").read_bytes()[-tensor.nbytes :]
    with safe_open(tmp_path / "model.safetensors", "pt") as file:
        found = zstd_bytes(file.get_tensor(name) for name in ("one", "none"))
    assert found == compressed(raw) < len(raw)
    assert zstd_bytes([tensor.T.contiguous().T]) == found, "the order in memory does not count"


def test_large_tensors_are_compressed_in_blocks_that_zstd_can_read_in_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    tensor = torch.arange(10_000, dtype=torch.int32)
    raw = tensor.numpy().tobytes()
    monkeypatch.setattr(shipped, "BLOCK_BYTES", 16_384)
    blocks = [raw[start : start + 16_384] for start in range(0, len(raw), 16_384)]
    assert len(blocks) == 3
    assert zstd_bytes([tensor]) == sum(map(compressed, blocks))
    codec = pa.Codec("zstd", compression_level=3)
    stream = b"".join(codec.compress(block, asbytes=True) for block in blocks)
    assert pa.CompressedInputStream(pa.BufferReader(stream), "zstd").read() == raw


def test_random_bytes_stay_and_equal_ones_vanish() -> None:
    noise = torch.from_numpy(np.random.default_rng(0).integers(256, size=100_000).astype(np.uint8))
    assert zstd_bytes([noise]) == pytest.approx(100_000, rel=0.001)
    assert zstd_bytes([torch.zeros(25_000)]) < 100
    assert zstd_bytes([]) == 0


@pytest.mark.parametrize("storage", STORAGES, ids=str)
def test_an_embedding_that_decodes_only_what_is_looked_up_takes_the_bytes_of_its_file(storage: Storage) -> None:
    embedding = LowRankEmbedding.from_factors(torch.randn(100, 8), torch.randn(8, 40))
    embedding.store_tables(storage)
    before = memory_bytes([embedding])
    embedding(torch.arange(100))
    assert before == memory_bytes([embedding]) == model_size(embedding).bytes


def test_what_is_decoded_once_and_kept_counts_however_it_is_kept() -> None:
    module = nn.Linear(10, 5)
    weights = 4 * (50 + 5)
    assert memory_bytes([module]) == weights
    module.register_buffer("decoded", torch.zeros(3), persistent=False)
    assert memory_bytes([module]) == weights + 12
    module.kept = torch.zeros(2, dtype=torch.float64)
    assert memory_bytes([module]) == weights + 12 + 16


def test_shared_weights_count_once() -> None:
    one, other = nn.Linear(10, 5, bias=False), nn.Linear(10, 5, bias=False)
    other.weight = one.weight
    assert memory_bytes([one, other]) == memory_bytes([nn.Sequential(one, other)]) == 4 * 50
