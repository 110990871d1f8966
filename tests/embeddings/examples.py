"""A small filled module of every class of embedding, for tests of what holds for all of them.

A new class gets one entry: its name in `embfact.embeddings.build.CLASSES` and a function that makes a module of
V = 13 tokens and H = 6 columns in float64, without a padding id, in which no table is all zero.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from embfact.embeddings.base import TokenEmbedding
from embfact.embeddings.clustered import ClusteredEmbedding
from embfact.embeddings.decoder import DecoderEmbedding
from embfact.embeddings.dense import DenseEmbedding
from embfact.embeddings.grouped import GroupedEmbedding
from embfact.embeddings.hashed import HashedEmbedding
from embfact.embeddings.hybrid import HybridEmbedding
from embfact.embeddings.low_rank import LowRankEmbedding
from embfact.embeddings.product_quantized import ProductQuantizedEmbedding
from embfact.embeddings.pruned import PrunedEmbedding
from embfact.embeddings.residual_quantized import ResidualQuantizedEmbedding
from embfact.embeddings.tensor_train import TensorTrainEmbedding
from embfact.embeddings.transform_coded import TransformCodedEmbedding

VOCAB_SIZE = 13
HIDDEN_SIZE = 6


def numbers(*shape: int, seed: int = 0) -> torch.Tensor:
    """Normal numbers in float64, the same ones at every call."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def low_rank() -> LowRankEmbedding:
    return LowRankEmbedding.from_factors(numbers(13, 3), numbers(3, 6, seed=1), mean=numbers(6, seed=2))


def grouped() -> GroupedEmbedding:
    group = torch.tensor([0, 1, 2, 1, 0, 2, 1, 2, 2, 1, 0, 2, 2])
    factors = [numbers(3, 2), numbers(4, 3, seed=1), numbers(6, 1, seed=2)]
    projections = [numbers(2, 6, seed=3), numbers(3, 6, seed=4), numbers(1, 6, seed=5)]
    return GroupedEmbedding.from_groups(group, factors, projections)


def tensor_train() -> TensorTrainEmbedding:
    cores = [numbers(1, 3, 2, 4), numbers(4, 3, 1, 2, seed=1), numbers(2, 2, 3, 1, seed=2)]
    return TensorTrainEmbedding.from_cores(cores, num_embeddings=13)


def product_quantized() -> ProductQuantizedEmbedding:
    codes = torch.arange(13 * 4).view(13, 4) * 7 % 5
    return ProductQuantizedEmbedding.from_codebooks(codes, [numbers(5, width, seed=width) for width in (2, 2, 1, 1)])


def residual_quantized() -> ResidualQuantizedEmbedding:
    lengths = torch.tensor([3, 1, 0, 2, 1, 3, 2, 1, 1, 0, 2, 3, 1])
    codes = torch.arange(20 * 4).view(20, 4) * 7 % 5
    books = [numbers(3, 1, 5, width, seed=width) for width in (2, 1)]
    return ResidualQuantizedEmbedding.from_codebooks(lengths, codes, books, numbers(6, seed=3))


def clustered() -> ClusteredEmbedding:
    cluster = torch.tensor([0, 1, 2, 1, 0, 2, 1, 2, 2, 1, 0, 2, 2])
    return ClusteredEmbedding.from_clusters(cluster, numbers(13, 2), numbers(3, 2, 6, seed=1))


def hashed() -> HashedEmbedding:
    return HashedEmbedding.from_buckets(numbers(5, 6), numbers(13, 2, seed=1), [(1234567, 89), (7654321, 98)])


def decoder() -> DecoderEmbedding:
    module = DecoderEmbedding(13, 6, rank=3, hidden_units=5).double()
    for seed, weight in enumerate(module.parameters()):
        weight.data = numbers(*weight.shape, seed=seed)
    return module


def transform_coded() -> TransformCodedEmbedding:
    tier = torch.tensor([0, 1, 2, 1, 0, 2, 1, 2, 2, 1, 0, 2, 2])
    allocation = torch.tensor([[8, 5, 2, 1], [3, 0, 1, 0], [0, 1, 0, 0]])
    strings = (torch.arange(10) * 97 % 251).to(torch.uint8)  # 3 tokens of 16 bits, 4 of 4 and 6 of 1
    rest = numbers(3, 4, seed=1), numbers(1020, seed=2), numbers(4, 6, seed=3), numbers(6, seed=4)
    return TransformCodedEmbedding.from_codes(strings, tier, allocation, *rest)


EXAMPLES: dict[str, Callable[[], TokenEmbedding]] = {
    "dense": lambda: DenseEmbedding.from_table(numbers(13, 6)),
    "low_rank": low_rank,
    "hybrid": lambda: HybridEmbedding.from_parts(low_rank(), torch.tensor([2, 3, 9]), numbers(3, 6, seed=3)),
    "grouped": grouped,
    "tensor_train": tensor_train,
    "product_quantized": product_quantized,
    "residual_quantized": residual_quantized,
    "clustered": clustered,
    "pruned": lambda: PrunedEmbedding.from_rows(13, torch.tensor([2, 3, 9]), numbers(3, 6), numbers(6, seed=1)),
    "hashed": hashed,
    "decoder": decoder,
    "transform_coded": transform_coded,
}
