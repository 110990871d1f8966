"""Spectra show singular values and what the best approximation of each rank keeps."""

from dataclasses import replace

import numpy as np
import pytest

from embfact.analysis.analyse import Analysis
from embfact.analysis.plots import by_frequency, plane, spectra, spectrum
from tests.helpers.pictures import covered


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


def _crowded(analysis: Analysis, names: list[str]) -> Analysis:
    dense, one, _ = analysis.tables
    worse = [replace(group, error=60.0) for group in one.groups]
    tables = [replace(one, name=name) for name in names]
    tables[-1] = replace(tables[-1], groups=tuple(worse))
    return replace(analysis, tables=(dense, *tables))


NAMES = [f"{method} r{rank} trained s0 (lr={rate})" for method in ("svd", "evd") for rank in (8, 64) for rate in (1, 2)]


def test_many_tables_have_a_panel_for_each_method_that_holds_all_its_points(analysis: Analysis) -> None:
    figure = by_frequency(_crowded(analysis, NAMES), "error", lambda group: group.error)
    assert [axes.get_title("left") for axes in figure.axes] == ["svd", "evd"]
    assert [text.get_text() for text in figure.axes[0].texts] == [
        name.removeprefix("svd ") for name in NAMES if name.startswith("svd")
    ]
    for axes in figure.axes:
        low, high = axes.get_ylim()
        for line in (one for one in axes.lines if one.get_clip_on()):  # without the leaders of labels
            assert low <= np.min(line.get_ydata()) <= np.max(line.get_ydata()) <= high
    assert covered(figure) == []
    assert covered(spectra(_crowded(analysis, NAMES))) == []


def test_few_tables_share_a_panel(analysis: Analysis) -> None:
    assert len(by_frequency(_crowded(analysis, NAMES[:3]), "error", lambda group: group.error).axes) == 1


def test_words_do_not_collide_on_the_plane(analysis: Analysis) -> None:
    dense = analysis.tables[0]
    draw = np.random.default_rng(2)
    words = {f"word{number}": (float(x), float(y)) for number, (x, y) in enumerate(draw.normal(size=(25, 2)) / 9)}
    figure = plane(replace(analysis, tables=(replace(dense, plane=words),)))
    assert len([text for text in figure.axes[0].texts if text.get_text()]) == 25
    assert covered(figure) == []
