"""Singular values and effective ranks against scipy and spectra that are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import svdvals
from scipy.stats import entropy, ortho_group

from embfact.analysis.spectrum import effective_rank, spectrum


def table_with(values: list[float], rows: int, seed: int = 0) -> np.ndarray:
    """A table of given singular values in random directions."""
    draw = np.random.default_rng(seed)
    left = np.linalg.qr(draw.standard_normal((rows, len(values))))[0]
    return left * values @ ortho_group.rvs(len(values), random_state=draw)


@pytest.mark.parametrize("shape", [(200, 16), (16, 200), (7, 7)])
def test_the_values_are_scipys(shape: tuple[int, int]) -> None:
    table = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    np.testing.assert_allclose(spectrum(table).values, svdvals(table.astype(float)), rtol=1e-6)


def test_weights_scale_the_rows_by_their_roots_and_only_their_relation_counts() -> None:
    draw = np.random.default_rng(1)
    table, weights = draw.standard_normal((60, 5)), draw.integers(0, 9, 60).astype(float)
    expected = svdvals(np.sqrt(weights / weights.mean())[:, None] * table)
    np.testing.assert_allclose(spectrum(table, weights).values, expected, rtol=1e-9)
    np.testing.assert_allclose(spectrum(table, 100 * weights).values, expected, rtol=1e-9)
    np.testing.assert_allclose(spectrum(table, np.full(60, 3.0)).values, spectrum(table).values, rtol=1e-9)


@given(rank=st.integers(1, 8))
@settings(max_examples=8, deadline=None)
def test_equal_singular_values_are_as_many_as_every_measure_says(rank: int) -> None:
    found = spectrum(table_with([2.0] * rank + [0.0] * (8 - rank), 40))
    assert found.effective_rank == pytest.approx(rank)
    assert found.participation_ratio == pytest.approx(rank)
    assert found.stable_rank == pytest.approx(rank)
    assert sum(value > 0 for value in found.values) == rank


def test_known_spectra_give_the_figures_of_their_definitions() -> None:
    values = [8.0, 4.0, 2.0, 1.0]
    found = spectrum(table_with(values, 30))
    assert found.effective_rank == pytest.approx(np.exp(entropy(values)))
    assert found.stable_rank == pytest.approx(85 / 64)
    assert found.participation_ratio == pytest.approx(85**2 / (64**2 + 16**2 + 4**2 + 1))
    assert effective_rank(np.array([5.0, 0.0])) == 1


def test_turning_all_rows_alike_changes_nothing() -> None:
    table = np.random.default_rng(2).standard_normal((50, 6))
    turned = table @ ortho_group.rvs(6, random_state=np.random.default_rng(3))
    np.testing.assert_allclose(spectrum(turned).values, spectrum(table).values, rtol=1e-9)


def test_nothing_but_zeros_is_refused() -> None:
    with pytest.raises(ValueError, match="table is all zero"):
        spectrum(np.zeros((4, 2)))
    with pytest.raises(ValueError, match="weights are all zero"):
        spectrum(np.ones((4, 2)), np.zeros(4))
