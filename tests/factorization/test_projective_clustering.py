"""`projective_clustering` alternates towards subspaces that are near their rows, and finds those that are there."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score

from embfact.factorization.projective_clustering import ProjectiveClustering, assign, cluster_rows
from embfact.factorization.svd import SVD


def table_of(vocab_size, hidden_size, seed=0):
    return torch.tensor(np.random.default_rng(seed).normal(size=(vocab_size, hidden_size)))


def planted(count, dimension, hidden_size, rows=60, seed=0):
    """Rows in random subspaces, in random order, and the subspace of each."""
    draw = np.random.default_rng(seed)
    bases = [np.linalg.qr(draw.normal(size=(hidden_size, dimension)))[0].T for _ in range(count)]
    truth = draw.permutation(np.repeat(np.arange(count), rows))
    return torch.tensor(np.stack([draw.normal(size=dimension) @ bases[one] for one in truth])), truth


def optimum(rows, dimension):
    """Least squared error of one subspace, by numpy."""
    return np.square(np.linalg.svd(rows, compute_uv=False)[dimension:]).sum()


def squared_error(table, module):
    return (table - module.dense()).square().sum().item()


@pytest.mark.parametrize("rank", [1, 3, 7])
def test_one_subspace_is_the_svd(rank):
    table = table_of(80, 8)
    module = ProjectiveClustering(subspaces=1).fit(table, rank)
    assert squared_error(table, module) == pytest.approx(optimum(table.numpy(), rank), rel=1e-6)


@pytest.mark.parametrize(("count", "dimension", "hidden_size"), [(2, 1, 6), (3, 2, 12), (5, 4, 30), (4, 6, 24)])
@pytest.mark.parametrize("seed", range(3))
def test_planted_subspaces_are_found(count, dimension, hidden_size, seed):
    table, truth = planted(count, dimension, hidden_size, seed=seed)

    module = ProjectiveClustering(subspaces=count, rounds=30).fit(table, dimension)

    assert squared_error(table, module) < 1e-12 * table.square().sum().item()
    assert adjusted_rand_score(truth, module.cluster.numpy()) == 1


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_no_round_raises_the_error_and_the_end_is_no_worse_than_svd(data):
    vocab_size, hidden_size = data.draw(st.integers(2, 40)), data.draw(st.integers(2, 10))
    rank, count = data.draw(st.integers(1, hidden_size)), data.draw(st.integers(1, min(6, vocab_size)))
    table = table_of(vocab_size, hidden_size)
    table = table[data.draw(st.lists(st.integers(0, vocab_size - 1), min_size=vocab_size, max_size=vocab_size))]
    table[data.draw(st.lists(st.integers(0, vocab_size - 1)))] = 0
    rounding = 1e-12 * table.square().sum().item()

    found = cluster_rows(table, count, rank, starts=1, rounds=20, seed=0)

    assert all(later <= before + rounding for before, later in zip(found.errors, found.errors[1:], strict=False))
    assert found.errors[-1] <= optimum(table.numpy(), rank) + rounding


def test_at_the_end_each_row_is_in_its_nearest_subspace_and_each_subspace_is_the_best_for_its_rows():
    table = table_of(300, 8)
    found = cluster_rows(table, 4, 3, starts=1, rounds=1000, seed=0)

    assert len(found.errors) < 1000
    rows, bases, cluster = table.numpy(), found.bases.numpy(), found.cluster.numpy()
    distances = np.stack([np.square(rows - rows @ basis.T @ basis).sum(axis=1) for basis in bases], axis=1)
    np.testing.assert_allclose(distances[np.arange(300), cluster], distances.min(axis=1), rtol=1e-9)
    best = sum(optimum(rows[cluster == number], 3) for number in range(4))
    assert found.errors[-1] == pytest.approx(best, rel=1e-9)
    assert np.square(rows - np.stack([rows[v] @ bases[c].T @ bases[c] for v, c in enumerate(cluster)])).sum() == (
        pytest.approx(best, rel=1e-9)
    )


def test_the_module_holds_what_was_found():
    table = table_of(200, 8)
    found = cluster_rows(table, 3, 2, starts=2, rounds=5, seed=7)
    module = ProjectiveClustering(subspaces=3, starts=2, rounds=5).fit(table, 2, seed=7)

    assert torch.equal(module.cluster.long(), found.cluster)
    assert squared_error(table, module) == pytest.approx(found.errors[-1], rel=1e-9)
    for basis in found.bases:
        torch.testing.assert_close(basis @ basis.T, torch.eye(2, dtype=torch.float64))


def test_more_starts_and_more_rounds_are_never_worse():
    table = table_of(200, 10)

    def error(**options):
        return squared_error(table, ProjectiveClustering(subspaces=4, **options).fit(table, 2))

    assert error(starts=6) < error(starts=1)
    assert error(starts=1, rounds=12) < error(starts=1, rounds=1) < squared_error(table, SVD().fit(table, 2))


def test_a_subspace_without_rows_is_given_the_worst():
    costs = torch.tensor([[0.0, 9], [5, 9], [7, 9], [0, 9], [6, 9]])
    assert assign(costs, dimension=2, least=1e-9).tolist() == [0, 0, 1, 0, 1]
    assert assign(costs, dimension=4, least=1e-9).tolist() == [0, 1, 1, 0, 1], "rows without an error stay"
    assert assign(costs.flip(1), dimension=2, least=10).tolist() == [1, 1, 1, 1, 1]


def test_as_many_subspaces_as_rows_leave_no_error():
    table = table_of(12, 6)
    module = ProjectiveClustering(subspaces=12, rounds=30).fit(table, 1)
    assert squared_error(table, module) < 1e-12


def test_more_subspaces_than_rows_are_refused_in_words():
    with pytest.raises(ValueError, match=r"at most the 3 tokens.*found 5"):
        ProjectiveClustering().fit(table_of(3, 6), 1)


def test_sizes_of_a_real_table():
    method = ProjectiveClustering()
    size = method.size(30522, 384, 60)
    assert size.parameters == 60 * (30522 + 5 * 384)
    assert size.bytes == 4 * 60 * (30522 + 5 * 384) + 30522
    assert method.largest_rank(30522, 384) == 361
