"""Nearest neighbours against a search one by one, and what keeps all of them."""

from __future__ import annotations

from time import perf_counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cosine
from scipy.stats import ortho_group

from embfact.analysis.measure import nearest, recall


def one_by_one(table: np.ndarray, query: int, candidates: np.ndarray, most: int) -> list[int]:
    others = [token for token in candidates.tolist() if token != query]
    return sorted(others, key=lambda token: cosine(table[query], table[token]))[:most]


@given(seed=st.integers(0, 20), most=st.integers(1, 12))
@settings(max_examples=15, deadline=None)
def test_they_are_those_of_a_search_one_by_one(seed: int, most: int) -> None:
    draw = np.random.default_rng(seed)
    table = draw.standard_normal((40, 5))
    candidates, queries = np.sort(draw.choice(40, 25, replace=False)), draw.choice(40, 10, replace=False)
    found = nearest(table, queries, candidates, most)
    assert found.tolist() == [one_by_one(table, query, candidates, most) for query in queries]


def test_more_queries_than_a_block_holds_get_the_same_answers() -> None:
    table = np.random.default_rng(0).standard_normal((1500, 8))
    everything = np.arange(1500)
    whole = nearest(table, everything, everything)
    for query in (0, 511, 512, 1499):
        assert whole[query].tolist() == one_by_one(table, query, everything, 10)


def test_turning_and_scaling_the_table_keeps_all_neighbours() -> None:
    table = np.random.default_rng(1).standard_normal((60, 6))
    turned = 3 * table @ ortho_group.rvs(6, random_state=np.random.default_rng(2))
    everything = np.arange(60)
    assert (recall(nearest(table, everything, everything), nearest(turned, everything, everything)) == 1).all()


def test_recall_counts_what_is_found_again_in_whatever_order() -> None:
    before, after = np.array([[1, 2, 3, 4], [5, 6, 7, 8]]), np.array([[4, 9, 1, 7], [0, 1, 2, 3]])
    expected = [len(set(one) & set(other)) / 4 for one, other in zip(before.tolist(), after.tolist(), strict=True)]
    assert recall(before, after).tolist() == expected == [0.5, 0]


def test_few_candidates_are_all_neighbours_and_zeros_have_no_direction() -> None:
    table = np.array([[1.0, 0], [0.9, 0.1], [0, 0]])
    assert nearest(table, np.array([0]), np.array([0, 1, 2])).tolist() == [[1, 2]]


@pytest.mark.slow
def test_a_vocabulary_of_bert_takes_seconds() -> None:
    table = np.random.default_rng(0).standard_normal((30_522, 128)).astype(np.float32)
    start = perf_counter()
    found = nearest(table, np.arange(500), np.arange(30_522))
    assert found.shape == (500, 10)
    assert perf_counter() - start < 20  # half a second on an idle machine
