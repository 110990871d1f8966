"""Frequency groups share the counted words among them, and errors are those of the definition."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from embfact.analysis.frequency import UNSEEN, frequency_groups, relative_error
from embfact.compression.factorize import squared_errors
from embfact.embeddings.dense import DenseEmbedding


@given(counts=st.lists(st.integers(0, 5), min_size=1, max_size=80), seed=st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_the_groups_divide_the_words_and_deciles_the_counted_ones(counts: list[int], seed: int) -> None:
    found, words = np.array(counts, dtype=float), np.random.default_rng(seed).random(len(counts)) < 0.8
    groups = frequency_groups(found, words)
    tokens = np.concatenate([group.tokens for group in groups]) if groups else np.array([], dtype=int)
    assert sorted(tokens) == np.flatnonzero(words).tolist()
    deciles = [group for group in groups if group.name != UNSEEN]
    assert sorted(t for g in deciles for t in g.tokens) == np.flatnonzero(words & (found > 0)).tolist()
    sizes = [len(group.tokens) for group in deciles]
    assert max(sizes, default=0) - min(sizes, default=0) <= 1
    for group in groups:
        assert (group.most, group.least) == (found[group.tokens].max(), found[group.tokens].min())
    assert all(before.least >= after.most for before, after in pairwise(groups))
    assert sum(group.share for group in deciles) == pytest.approx(1 if deciles else 0)


def test_equal_counts_are_ordered_by_id() -> None:
    groups = frequency_groups(np.array([1.0, 2, 1, 2, 0, 0]), np.ones(6, dtype=bool))
    assert [group.tokens.tolist() for group in groups] == [[1], [3], [0], [2], [4, 5]]
    assert [group.name for group in groups] == ["1", "2", "3", "4", UNSEEN]


def test_the_error_is_the_one_that_factorize_prints() -> None:
    torch.manual_seed(0)
    table, other, weights = torch.randn(50, 4), torch.randn(50, 4), torch.rand(50).double()
    embedding = DenseEmbedding(50, 4)
    embedding.load_state_dict(dict.fromkeys(embedding.state_dict(), other))
    plain, weighted = squared_errors(table, embedding, weights)
    assert relative_error(table.numpy(), other.numpy()) == pytest.approx(plain)
    assert relative_error(table.numpy(), other.numpy(), weights.numpy()) == pytest.approx(weighted)


def test_an_exact_table_has_no_error_and_nothing_has_none() -> None:
    table = np.random.default_rng(0).standard_normal((9, 3)).astype(np.float32)
    assert relative_error(table, table) == 0
    assert relative_error(table, np.zeros_like(table)) == 1
    assert relative_error(np.zeros((2, 3)), np.ones((2, 3))) is None
