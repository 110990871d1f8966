"""Transform coding against rate-distortion theory, computed here with numpy, and against enumeration."""

from itertools import product

import numpy as np
import pytest
import torch

from embfact.embeddings.layout import Storage
from embfact.embeddings.transform_coded import TransformCodedEmbedding
from embfact.embeddings.trellis import DISTORTION, normal_levels
from embfact.factorization.base import Evidence
from embfact.factorization.product_quantization import ProductQuantization
from embfact.factorization.transform_coding import TransformCoding, allocate, code, tier_sizes, widen
from embfact.models.size import model_size

V, H = 3000, 32


def zipf_table(seed=0):
    """Correlated normal rows, and counts that follow Zipf's law, in no order."""
    draw = torch.Generator().manual_seed(seed)
    mixing = torch.randn(H, H, generator=draw, dtype=torch.float64) * torch.logspace(0, -1.5, H, dtype=torch.float64)
    counts = (20_000 / torch.arange(1, V + 1)).floor()[torch.randperm(V, generator=draw)]
    return torch.randn(V, H, generator=draw, dtype=torch.float64) @ mixing.T + 0.3, counts


def water_filling(weighted_variances: np.ndarray, sizes: np.ndarray, bits: float) -> float:
    """Least weighted error of normal numbers at a number of bits in all (Cover and Thomas, 2006, theorem 10.3.3)."""
    low, high = 1e-30, weighted_variances.max()
    for _ in range(200):
        level = np.sqrt(low * high)
        spent = (sizes * 0.5 * np.log2(np.maximum(1, weighted_variances / level))).sum()
        low, high = (level, high) if spent > bits else (low, level)
    return float((sizes * np.minimum(level, weighted_variances)).sum())


def weighted_error(table, counts, rank, **options):
    method = TransformCoding(**options)
    found = method.fit(table, rank, evidence=Evidence(counts))
    return ((counts + method.smoothing) * (table - found.dense()).square().sum(1)).sum().item(), found


def test_the_allocation_is_the_best_of_all():
    worth = torch.tensor([[5.0, 1.0], [0.7, 0.2]], dtype=torch.float64)
    sizes, distortion = [1, 2], torch.tensor(DISTORTION, dtype=torch.float64)

    def error(bits):
        return sum(sizes[t] * worth[t, k] * distortion[bits[t, k]] for t in range(2) for k in range(2)).item()

    def cost(bits):
        return int((bits * torch.tensor([[1], [2]])).sum())

    choices = [torch.tensor(bits).view(2, 2) for bits in product(range(9), repeat=4)]
    for budget in (2, 4, 9, 14, 20, 23, 30):
        found = allocate(worth, sizes, budget)
        assert cost(found) <= budget
        # A bit for the larger tier takes two: that one may be left over.
        assert error(found) <= min(error(bits) for bits in choices if cost(bits) <= budget - 1) + 1e-12
        assert error(found) >= min(error(bits) for bits in choices if cost(bits) <= budget) - 1e-12


def test_without_worth_there_are_no_bits():
    assert not allocate(torch.zeros(2, 3), [4, 5], 1000).any()


def test_more_bits_than_there_can_be_are_left():
    assert (allocate(torch.ones(2, 3), [4, 5], 10_000) == 8).all()


@pytest.mark.parametrize("rank", [8, 24, 64])
def test_the_error_is_near_the_bound_of_normal_numbers(rank):
    table, counts = zipf_table()
    error, found = weighted_error(table, counts, rank, tiers=5)
    weights = (counts + 1).double().numpy()
    centred = table.numpy() - weights @ table.numpy() / weights.sum()
    _, axes = np.linalg.eigh((centred * weights[:, None]).T @ centred)
    tier = found.tier_of(torch.arange(V)).numpy()
    members = [np.flatnonzero(tier == number) for number in range(5)]
    worth = np.stack([weights[ids].mean() * ((centred[ids] @ axes) ** 2).mean(0) for ids in members])
    sizes = np.array([[len(ids)] for ids in members])

    spent = 8 * (found.codes.numel() - 3)
    assert spent <= V * rank + 7
    assert error >= 0.98 * water_filling(worth, sizes, spent)  # rows of a tier are not quite normal
    # Whole bits and the trellis lose less than a fifth of the bits.
    assert error <= water_filling(worth, sizes, spent / 1.2)


def test_more_bits_leave_less_error_and_frequent_tokens_have_more_of_them():
    table, counts = zipf_table()
    errors = [weighted_error(table, counts, rank, tiers=4) for rank in (4, 16, 64, 160)]
    assert [error for error, _ in errors] == sorted((error for error, _ in errors), reverse=True)
    found = errors[1][1]
    bits = torch.stack([found.allocation & 15, found.allocation >> 4], -1).flatten(1).sum(1)
    assert (bits.diff() < 0).all()
    order = counts.argsort(descending=True)
    tier = found.tier_of(torch.arange(V))
    assert tier[order[:20]].float().mean() < tier[order[-1000:]].float().mean() - 1


def test_at_equal_bytes_its_error_is_below_that_of_product_quantization():
    table, counts = zipf_table()
    storage = Storage("int8")
    other = ProductQuantization(centroids=64).fit(table.float(), 8, evidence=Evidence(counts))
    other.store_tables(storage)
    size, method = model_size(other).bytes, TransformCoding()
    rank = method.rank_for_budget(V, H, size / (4 * V * H), storage=storage)
    own = method.fit(table.float(), rank, evidence=Evidence(counts))
    own.store_tables(storage)
    assert model_size(own).bytes <= size
    errors = [((counts + 1) * (table - kind.dense()).square().sum(1)).sum().item() for kind in (own, other)]
    assert errors[0] < errors[1]


def test_axes_that_nothing_uses_are_left_out():
    table, counts = zipf_table()
    method = TransformCoding(tiers=4)
    found = method.fit(table, 1, evidence=Evidence(counts))
    assert found.axes < H
    assert model_size(found).bytes < method.size(V, H, 1, weight_bytes=8).bytes


@pytest.mark.parametrize("rank", [6, 8, 12])
def test_the_axes_in_use_are_kept_though_they_are_not_the_first_ones(rank):
    draw = torch.Generator().manual_seed(0)
    counts = (2000 / torch.arange(1, 301)).floor()[torch.randperm(300, generator=draw)]
    decay = torch.logspace(0, -0.3, H, dtype=torch.float64)
    table = torch.randn(300, H, generator=draw, dtype=torch.float64) * decay
    found = TransformCoding(tiers=4).fit(table, rank, evidence=Evidence(counts))
    bits = torch.stack([found.allocation & 15, found.allocation >> 4], -1).flatten(1)[:, : found.axes]
    assert bits.any(0).all()
    assert 8 * found.code_bytes > 300 * rank - max(tier_sizes(300, 4))


def test_the_padding_token_is_among_the_last():
    table, counts = zipf_table()
    most = int(counts.argmax())
    found = TransformCoding(tiers=4).fit(table, 8, evidence=Evidence(counts), padding_idx=most)
    assert found.tier_of(torch.tensor([most])).item() == 3


def test_unseen_tokens_keep_bits_through_the_smoothing():
    table, counts = zipf_table()
    counts[counts < 20] = 0
    unseen = counts == 0
    errors = [
        (table - weighted_error(table, counts, 24, smoothing=smoothing)[1].dense())[unseen].square().sum().item()
        for smoothing in (0.0, 1.0)
    ]
    assert errors[1] < 0.9 * errors[0]


def test_scales_are_those_of_least_squares():
    draw = torch.Generator().manual_seed(0)
    rows = torch.randn(200, 3, generator=draw) * torch.tensor([3.0, 1.0, 0.2])
    allocation, levels = torch.tensor([[3, 1, 0]]), normal_levels()
    deviations = rows.square().mean(0, keepdim=True).double().sqrt()
    strings, scales = code(rows, [torch.arange(200)], allocation, deviations, levels)
    zero = torch.zeros(200, dtype=torch.int64)
    found = TransformCodedEmbedding.from_codes(
        strings, zero, allocation, scales, levels, torch.eye(3, dtype=torch.float64), torch.zeros(3)
    ).dense()
    reached = found[:, :2] / scales[0, :2]
    best = [np.linalg.lstsq(reached[:, [k]].numpy(), rows[:, k].double().numpy())[0][0] for k in range(2)]
    np.testing.assert_allclose(scales[0, :2], best, rtol=1e-6)


def test_a_few_large_numbers_widen_the_levels():
    draw = torch.Generator().manual_seed(0)
    numbers = torch.randn(100, 2, generator=draw, dtype=torch.float64)
    numbers[:2, 1] = 60
    deviations = numbers.square().mean(0).sqrt()
    found = widen(numbers, torch.tensor([6, 6]), deviations, normal_levels()) / deviations
    assert found[0] < 1.3
    assert found[1] > 1.5


@pytest.mark.parametrize("vocab_size", [8, 50, 1000, 30_522, 262_144])
@pytest.mark.parametrize("tiers", [1, 3])
def test_tiers_grow_and_hold_every_token(vocab_size, tiers):
    sizes = tier_sizes(vocab_size, tiers)
    assert sum(sizes) == vocab_size
    assert sizes == sorted(sizes)
    assert sizes[0] >= 1


def test_too_few_tokens_for_the_tiers_are_refused():
    with pytest.raises(ValueError, match="100 tokens are too few for 8 tiers; use at most 6"):
        TransformCoding().fit(torch.randn(100, 8), 4, evidence=Evidence(torch.ones(100)))
