"""Spectra show singular values and what the best approximation of each rank keeps."""

import numpy as np
import pytest

from embfact.analysis.plots import spectrum


def test_values_and_kept_shares_are_those_of_the_table():
    table = np.random.default_rng(0).normal(size=(50, 8))
    left, right = spectrum({"plain": np.linalg.svd(table, compute_uv=False)}).axes
    u, values, v = np.linalg.svd(table, full_matrices=False)
    assert left.lines[0].get_ydata() == pytest.approx(values / values[0])
    errors = [np.sum((table - (u[:, :r] * values[:r]) @ v[:r]) ** 2) for r in range(1, 9)]
    kept = 100 - 100 * np.array(errors) / np.sum(table**2)
    assert right.lines[0].get_ydata() == pytest.approx(kept)
    enough = 1 + np.argmax(kept >= 90)
    assert right.texts[0].get_text().replace("\xa0", " ") == f"plain: 90 % by {enough}"


def test_zeros_are_left_out_of_the_logarithmic_axis():
    left, right = spectrum({"low": np.array([0.0, 2.0, 1.0])}).axes
    assert list(left.lines[0].get_ydata()) == [1, 0.5]
    assert len(right.lines[0].get_ydata()) == 3


@pytest.mark.parametrize("values", [{}, {"zero": np.zeros(3)}, {"empty": np.array([])}])
def test_nothing_to_draw_is_said(values):
    with pytest.raises(ValueError, match="nothing to draw"):
        spectrum(values)
