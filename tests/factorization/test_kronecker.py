"""Sums of Kronecker products against numpy's SVD of the rearranged table."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from embfact.embeddings.layout import Part
from embfact.factorization.kronecker import Kronecker
from embfact.models.size import model_size
from tests.helpers.storages import STORAGES


def table(vocab_size=60, hidden_size=12, dtype=torch.float64):
    draw = torch.Generator().manual_seed(0)
    return torch.randn(vocab_size, hidden_size, generator=draw, dtype=torch.float64).to(dtype)


def rearranged(dense, rows, columns):
    """Every block written out as a row, by loops, as Van Loan and Pitsianis (1993) define it."""
    full = np.zeros((rows[0] * rows[1], columns[0] * columns[1]))
    full[: len(dense)] = dense.double().numpy()
    blocks = [
        full[i * rows[1] : (i + 1) * rows[1], j * columns[1] : (j + 1) * columns[1]].ravel()
        for i in range(rows[0])
        for j in range(columns[0])
    ]
    return np.stack(blocks)


@pytest.mark.parametrize(
    "options", [{}, {"block_rows": 1}, {"block_columns": 2, "block_rows": 10}, {"block_columns": 12}]
)
@pytest.mark.parametrize("rank", [1, 2, 7])
def test_no_sum_of_as_many_terms_is_nearer(options, rank):
    method, dense = Kronecker(**options), table()
    rank = min(rank, method.rank_limit(60, 12))
    rows, columns = method.shape(60, 12)
    assert rows[0] * rows[1] == 60
    error = (dense - method.fit(dense, rank).dense()).square().sum().item()
    optimum = np.square(np.linalg.svd(rearranged(dense, rows, columns), compute_uv=False)[rank:]).sum()
    assert error == pytest.approx(optimum, rel=1e-6, abs=1e-12)


@settings(deadline=None, max_examples=40)
@given(
    vocab_size=st.integers(2, 50),
    hidden_size=st.integers(1, 24),
    rank=st.integers(1, 40),
    block_rows=st.none() | st.integers(1, 8),
    storage=st.sampled_from(STORAGES),
)
def test_it_is_the_best_sum_for_the_table_with_zero_rows_below_and_the_layout_is_what_is_saved(
    vocab_size, hidden_size, rank, block_rows, storage
):
    method = Kronecker(block_rows=block_rows and min(block_rows, vocab_size))
    rank = min(rank, method.rank_limit(vocab_size, hidden_size))
    dense = table(vocab_size, hidden_size)
    rows, columns = method.shape(vocab_size, hidden_size)
    module = method.fit(dense, rank)

    first, second = (core.matrix().detach() for core in module.cores)
    left = first.view(rows[0] * columns[0], rank).numpy()
    right = second.view(rows[1], rank, columns[1]).transpose(0, 1).flatten(1).numpy()
    exact = rearranged(dense, rows, columns)
    s = np.linalg.svd(exact, compute_uv=False)
    # Compared by their errors: of equal singular values either may be kept.
    optimum = np.square(s[rank:]).sum()
    assert np.square(exact - left @ right).sum() == pytest.approx(optimum, rel=1e-6, abs=1e-18 * np.square(s).sum())
    assert (dense - module.dense()).square().sum() <= optimum * (1 + 1e-6) + 1e-18 * np.square(s).sum()
    assert len(s) == method.rank_limit(vocab_size, hidden_size)

    saved = method.fit(dense.float(), rank)
    saved.store_tables(storage)
    assert model_size(saved) == method.size(vocab_size, hidden_size, rank, storage)


@pytest.mark.parametrize(("vocab_size", "terms"), [(40, 1), (38, 2)])
def test_a_table_that_is_a_kronecker_product_is_found(vocab_size, terms):
    draw = torch.Generator().manual_seed(1)
    exact = torch.kron(torch.randn(8, 3, generator=draw), torch.randn(5, 4, generator=draw))[:vocab_size]
    module = Kronecker().fit(exact, terms)
    assert (module.row_factors, module.column_factors) == ((8, 5), (3, 4))
    # The two rows that 38 tokens lack make the last blocks another kind of block: one more term.
    torch.testing.assert_close(module.dense(), exact, rtol=0, atol=1e-5)


def test_blocks_of_minilms_table_make_small_terms():
    method = Kronecker()
    assert method.shape(30522, 384) == ((215, 142), (16, 24))
    assert method.layout(30522, 384, 10) == (Part(215, 160), Part(142, 240))
    assert method.parameters(30522, 384, 1) == 215 * 16 + 142 * 24 < 1.0001 * 2 * (30522 * 384) ** 0.5 + 3
    assert method.shape(128256, 4096) == ((2004, 64), (64, 64)), "no more than 4096 numbers a block"


def test_kroneckerberts_blocks_are_pieces_of_a_row():
    method = Kronecker(block_rows=1, block_columns=16)
    module = method.fit(table(50, 32), 1)
    assert method.parameters(50, 32, 1) == 50 * 2 + 16
    first, second = (core.matrix().detach() for core in module.cores)
    torch.testing.assert_close(module.dense()[7], torch.kron(first[7], second[0]))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"block_columns": 5}, "block_columns must divide the 12 columns of the table .found 5.; leave it null"),
        ({"block_columns": 24}, "block_columns must divide the 12 columns of the table .found 24."),
        ({"block_rows": 61}, "block_rows must be at most the 60 rows of the table .found 61.; leave it null"),
    ],
)
def test_blocks_that_do_not_fit_are_refused(options, words):
    method = Kronecker(**options)
    with pytest.raises(ValueError, match=words):
        method.fit(table(), 2)
    with pytest.raises(ValueError, match=words):
        method.check_size(60, 12, 2)
    with pytest.raises(ValueError, match=words):
        method.rank_for_budget(60, 12, 0.5)


def test_a_budget_buys_terms():
    method = Kronecker()
    rank = method.rank_for_budget(30522, 384, 0.1)
    assert method.size(30522, 384, rank).bytes <= 0.1 * 4 * 30522 * 384 < method.size(30522, 384, rank + 1).bytes


def test_more_terms_than_numbers_in_a_block_are_refused():
    with pytest.raises(ValueError, match=r"rank 21 .terms. is above 20; use at most 20"):
        Kronecker().check_size(40, 12, 21, allow_larger=True)
