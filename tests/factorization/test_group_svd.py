"""`group_svd` fits each group to numpy's optimum, stays within its budget, and never gets worse by regrouping."""

from itertools import pairwise, product

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from embfact.factorization.base import Evidence
from embfact.factorization.group_svd import GroupSVD, doubling_sizes, exchange, group_by_order, refine, share_ranks
from embfact.factorization.token_counts import by_frequency
from embfact.factorization.weighted_svd import WeightedSVD
from embfact.models.size import model_size
from tests.helpers.storages import STORAGES


def zipf_counts(vocab_size, unseen=0, seed=0):
    draw = np.random.default_rng(seed)
    counts = draw.permutation(1e6 / np.arange(1, vocab_size + 1)).round()
    counts[draw.choice(vocab_size, size=unseen, replace=False)] = 0
    return torch.tensor(counts)


def table_of(vocab_size, hidden_size, seed=0, dtype=torch.float64):
    return torch.tensor(np.random.default_rng(seed).normal(size=(vocab_size, hidden_size)), dtype=dtype)


def clustered_table(vocab_size, hidden_size, clusters, dimension, seed=0):
    """Rows in a few subspaces that have nothing to do with how frequent the tokens are."""
    draw = np.random.default_rng(seed)
    axes = draw.normal(size=(clusters, dimension, hidden_size))
    cluster = draw.integers(clusters, size=vocab_size)
    return torch.tensor(np.einsum("vd,vdh->vh", draw.normal(size=(vocab_size, dimension)), axes[cluster]))


def weighted_error(table, weights, module):
    return (weights @ (table - module.dense()).square().sum(dim=1)).item()


def members(module):
    """Ids of each group, as the map of the module has them."""
    return [
        (module.position >= start) & (module.position < start + size)
        for start, size in zip(np.cumsum([0, *module.sizes]), module.sizes, strict=False)
    ]


@pytest.mark.parametrize("rounds", [0, 4])
@pytest.mark.parametrize(("unseen", "smoothing"), [(0, 1), (150, 1), (150, 0), (290, 0)])
@pytest.mark.parametrize(("groups", "rank"), [(2, 2), (4, 9)])
def test_each_group_has_the_error_of_numpys_svd_of_its_scaled_rows(rounds, unseen, smoothing, groups, rank):
    table, counts = table_of(300, 16), zipf_counts(300, unseen)
    weights = counts + smoothing
    method = GroupSVD(groups=groups, rounds=rounds, smoothing=smoothing)

    module = method.fit(table, rank, evidence=Evidence(counts))

    assert sorted(module.position.tolist()) == list(range(300))
    for ids, kept in zip(members(module), module.ranks, strict=True):
        scaled = (weights[ids].sqrt().unsqueeze(1) * table[ids]).numpy()
        expected = np.square(np.linalg.svd(scaled, compute_uv=False)[kept:]).sum()
        found = (weights[ids] @ (table - module.dense())[ids].square().sum(dim=1)).item()
        assert found == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_without_rounds_the_groups_are_the_tokens_in_order_of_frequency():
    counts = zipf_counts(70)
    module = GroupSVD(groups=3, rounds=0).fit(table_of(70, 8), 4, evidence=Evidence(counts))

    assert module.sizes == (10, 20, 40)
    rarest = [counts[ids].min() for ids in members(module)]
    most_frequent = [counts[ids].max() for ids in members(module)]
    assert rarest[0] > most_frequent[1]
    assert rarest[1] > most_frequent[2]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("table", [table_of(400, 16), clustered_table(400, 16, 4, 3)], ids=["noise", "clusters"])
def test_more_rounds_never_raise_the_weighted_error(table, seed):
    counts = zipf_counts(400, unseen=100, seed=seed)
    modules = [GroupSVD(groups=4, rounds=rounds).fit(table, 6, evidence=Evidence(counts)) for rounds in range(8)]
    errors = [weighted_error(table, counts + 1, module) for module in modules]

    assert len({(module.sizes, module.ranks) for module in modules}) == 1
    assert all(after <= before * (1 + 1e-12) for before, after in pairwise(errors))
    assert errors[-1] < errors[0] * 0.999


def test_rounds_end_where_nothing_is_gained():
    table, counts = table_of(200, 10), zipf_counts(200)
    start = group_by_order(table, counts, by_frequency(counts), doubling_sizes(200, 3), 1200)
    end = refine(table, counts, start, 1000)

    assert end.error < start.error
    assert torch.equal(refine(table, counts, end, 1).group, end.group)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_two_groups_are_exchanged_to_the_best_partition_of_their_sizes(data):
    first, second = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 12))
    draw = np.random.default_rng(data.draw(st.integers(0, 999)))
    costs = torch.tensor(draw.exponential(size=(first + second, 2)))
    group = torch.tensor(draw.permutation([0] * first + [1] * second))

    found = exchange(costs, group)

    # One column a place in a group: an assignment problem that scipy solves exactly.
    _, places = linear_sum_assignment(np.repeat(costs.numpy(), [first, second], axis=1))
    best = costs[range(len(group)), torch.tensor(places >= first).long()].sum().item()
    assert costs.gather(1, found.unsqueeze(1)).sum().item() == pytest.approx(best, rel=1e-9)
    assert torch.bincount(found, minlength=2).tolist() == [first, second]


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 6), st.integers(10, 40), st.integers(0, 999))
def test_an_exchange_lowers_the_cost_and_keeps_the_sizes(groups, tokens, seed):
    draw = np.random.default_rng(seed)
    costs, group = (
        torch.tensor(draw.exponential(size=(tokens, groups))),
        torch.tensor(draw.integers(groups, size=tokens)),
    )
    before = group.clone()

    found = exchange(costs, group)

    assert torch.equal(group, before)
    assert torch.equal(torch.bincount(found, minlength=groups), torch.bincount(group, minlength=groups))
    total_before, total = (costs.gather(1, each.unsqueeze(1)).sum() for each in (group, found))
    assert total < total_before or torch.equal(found, group)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_ranks_of_equally_large_groups_are_the_best_that_the_budget_buys(data):
    groups, width, size = data.draw(st.integers(2, 3)), 5, data.draw(st.integers(1, 8))
    draw = np.random.default_rng(data.draw(st.integers(0, 999)))
    energies = [torch.tensor(np.sort(draw.exponential(size=width))[::-1].copy()) for _ in range(groups)]
    steps = data.draw(st.integers(groups, groups * width))

    ranks = share_ranks(energies, [size] * groups, steps * (size + width))

    # Tried one by one: every choice of ranks that the budget allows.
    choices = [c for c in product(range(1, min(size, width) + 1), repeat=groups) if sum(c) <= steps]
    left = [sum(part[kept:].sum().item() for part, kept in zip(energies, c, strict=True)) for c in choices]
    found = sum(part[kept:].sum().item() for part, kept in zip(energies, ranks, strict=True))
    assert tuple(ranks) in choices
    assert found == pytest.approx(min(left))


def test_an_axis_of_a_large_group_must_be_worth_its_parameters():
    """Prices are 3 + 4 and 30 + 4: two cheap axes of 2 and 1 take more away per parameter than a dear one of 5."""
    energies = [torch.tensor([9.0, 2.0, 1.0, 0.5]), torch.tensor([9.0, 5.0, 1.0, 0.5])]
    assert share_ranks(energies, [3, 30], 41 + 34 + 13) == [2, 2]
    assert share_ranks(energies, [3, 30], 41 + 34) == [3, 1]
    assert share_ranks([energies[0], 2 * energies[1]], [3, 30], 41 + 34) == [1, 2]


def test_a_budget_without_room_for_every_group_is_refused():
    with pytest.raises(ValueError, match="too few for 2 groups; use a larger rank or fewer groups"):
        share_ranks([torch.ones(4)] * 2, [3, 6], 16)
    assert share_ranks([torch.ones(4)] * 2, [3, 6], 17) == [1, 1]


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_it_is_never_larger_than_its_formula_nor_than_svd_of_the_same_rank(data):
    vocab_size, hidden_size = data.draw(st.integers(8, 60)), data.draw(st.integers(3, 10))
    method = GroupSVD(groups=data.draw(st.integers(2, 3)), rounds=1)
    rank, storage = data.draw(st.integers(2, hidden_size)), data.draw(st.sampled_from(STORAGES))
    assume(rank >= method.smallest_rank(vocab_size, hidden_size))
    counts = torch.tensor(np.random.default_rng(data.draw(st.integers(0, 99))).integers(1, 100, size=vocab_size))

    module = method.fit(table_of(vocab_size, hidden_size, dtype=torch.float32), rank, evidence=Evidence(counts))
    dense = model_size(module)
    module.store_tables(storage)
    stored, formula = model_size(module), method.size(vocab_size, hidden_size, rank, storage)

    shape = zip(module.sizes, module.ranks, strict=True)
    assert stored.parameters == sum(kept * (number + hidden_size) for number, kept in shape) <= formula.parameters
    assert stored.bytes <= formula.bytes
    assert dense.bytes == 4 * (dense.parameters + vocab_size) <= 4 * rank * (vocab_size + hidden_size)


@settings(max_examples=60, deadline=None)
@given(st.integers(7, 400), st.integers(2, 60), st.integers(2, 3), st.sampled_from(STORAGES))
def test_the_formula_is_the_most_that_any_ranks_take_and_grows_with_the_rank(vocab_size, hidden_size, groups, storage):
    """Every choice of ranks that the parameters of a rank allow, one by one: the largest is as large as it says."""
    method, sizes = GroupSVD(groups=groups), doubling_sizes(vocab_size, groups)
    rank = method.smallest_rank(vocab_size, hidden_size) + 1
    formula = method.size(vocab_size, hidden_size, rank, storage)

    found = 0
    for ranks in product(*(range(1, min(size, hidden_size, 12) + 1) for size in sizes)):
        parts = [(size, kept) for size, kept in zip(sizes, ranks, strict=True)] + [
            (kept, hidden_size) for kept in ranks
        ]
        if sum(rows * columns for rows, columns in parts) <= formula.parameters:
            found = max(found, sum(rows * storage.row_bytes(columns) for rows, columns in parts))

    assert found + 4 * vocab_size <= formula.bytes
    assert formula.bytes <= method.size(vocab_size, hidden_size, rank + 1, storage).bytes
    assert method.size(vocab_size, hidden_size, rank - 2, storage).bytes <= formula.bytes


def test_the_formula_is_tight_on_a_real_shape():
    counts = zipf_counts(3000)
    for storage in STORAGES:
        module = GroupSVD(rounds=0).fit(table_of(3000, 96, dtype=torch.float32), 24, evidence=Evidence(counts))
        module.store_tables(storage)
        # The fewer bits, the more of a short row are bytes that its last codes may or may not fill.
        share = 0.95 if storage.format in ("int6", "int3", "int2") else 0.97
        assert share * GroupSVD().size(3000, 96, 24, storage).bytes < model_size(module).bytes


def test_frequent_groups_get_more_rank_and_a_lower_error_than_one_svd_of_that_size():
    table, counts = table_of(2000, 32), zipf_counts(2000)
    grouped = GroupSVD().fit(table, 8, evidence=Evidence(counts))
    weighted = WeightedSVD().fit(table, 8, evidence=Evidence(counts))

    assert grouped.ranks[0] > grouped.ranks[-1]
    assert weighted_error(table, counts, grouped) < 0.5 * weighted_error(table, counts, weighted)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_the_module_has_the_lookup_of_an_embedding(dtype):
    table = table_of(40, 12, dtype=dtype)
    module = GroupSVD(groups=3).fit(table, 6, evidence=Evidence(torch.arange(40)), padding_idx=2)
    vectors = module(torch.tensor([[1, 2, 3], [4, 2, 39]]))

    assert vectors.shape == (2, 3, 12)
    assert vectors.dtype == dtype
    assert (module.num_embeddings, module.embedding_dim, module.padding_idx) == (40, 12, 2)


def test_fitting_twice_gives_equal_bits():
    counts = Evidence(zipf_counts(90))
    first, second = (GroupSVD(groups=4).fit(table_of(90, 8), 5, evidence=counts) for _ in range(2))
    assert torch.equal(first.dense(), second.dense())


@pytest.mark.parametrize(("vocab_size", "groups"), [(30522, 5), (128256, 8), (7, 3), (8, 3), (50265, 2)])
def test_groups_double_in_size_and_hold_every_token(vocab_size, groups):
    sizes = doubling_sizes(vocab_size, groups)
    assert sum(sizes) == vocab_size
    assert len(sizes) == groups
    assert min(sizes) >= 1
    assert all(abs(after - 2 * before) <= 2 for before, after in pairwise(sizes))


def test_sizes_that_make_no_sense_are_refused_in_words():
    method = GroupSVD(groups=5)
    with pytest.raises(ValueError, match=r"rank 380 does not shrink a 30522 x 384 table.*largest.*379"):
        method.check_size(30522, 384, 380)
    method.check_size(30522, 384, 379)
    with pytest.raises(ValueError, match=r"rank 2 is too small.*nothing for some of 5 groups; use rank 3 or more"):
        method.check_size(30522, 384, 2)
    method.check_size(30522, 384, 3)
    with pytest.raises(ValueError, match=r"30 tokens are too few for 5 groups.*at most 4 groups"):
        method.check_size(30, 12, 5)
    method.check_size(31, 12, 6)
    with pytest.raises(ValueError, match=r"rank must be a whole number.*found None"):
        method.check_size(30522, 384, None)


@settings(max_examples=60, deadline=None)
@given(st.integers(3, 200), st.integers(2, 40), st.integers(2, 4))
def test_the_smallest_rank_is_the_first_that_gives_each_group_an_axis(vocab_size, hidden_size, groups):
    groups = min(groups, (vocab_size + 1).bit_length() - 1)
    method = GroupSVD(groups=groups)
    fits = [
        rank
        for rank in range(1, hidden_size + 1)
        if method.parameters(vocab_size, hidden_size, rank) >= vocab_size + groups * hidden_size
    ]
    for rank in range(1, hidden_size + 1):
        if rank in fits:
            method.check_size(vocab_size, hidden_size, rank, allow_larger=True)
        else:
            with pytest.raises(ValueError, match="or fewer groups"):
                method.check_size(vocab_size, hidden_size, rank, allow_larger=True)


@pytest.mark.parametrize("options", [{"groups": 1}, {"rounds": -1}, {"smoothing": -1}, {"smoothing": float("inf")}])
def test_options_that_mean_nothing_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        GroupSVD(**options)


@pytest.mark.parametrize(
    ("counts", "words"), [(None, "group_svd needs token counts"), (torch.zeros(20), "all token counts are 0")]
)
def test_counts_that_cannot_group_the_tokens_are_refused_in_words(counts, words):
    assert GroupSVD.needs == {"token_counts"}
    with pytest.raises(ValueError, match=words):
        GroupSVD(groups=2).fit(table_of(20, 8), 3, evidence=Evidence(counts))
