"""Every kind of plot has one look, its words apart, and the same bytes each time."""

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embfact.analysis.plots import spectrum
from embfact.factorization.registry import methods
from embfact.results import looks
from embfact.results.collect import find_records
from embfact.results.looks import look_numbers
from embfact.results.plots.draw import draw
from embfact.results.plots.spec import KINDS, PlotSpec
from embfact.results.plots.style import look, panels, save, size_axis
from embfact.results.result_table import build_table
from tests.helpers.pictures import covered, texts_of, write_run

METHODS = ("svd", "weighted_svd", "random", "albert", "hashed", "product_quantization", "kronecker", "evd")


WISHES = [*map(PlotSpec, KINDS), *(PlotSpec(kind, against="model_bytes") for kind in ("pareto", "retention", "tasks"))]


@pytest.mark.parametrize("spec", WISHES, ids=lambda spec: f"{spec.kind} {spec.against or ''}")
def test_words_of_a_crowded_sweep_do_not_cover_each_other(sweep, spec):
    table = sweep(METHODS, (16, 64, 256), ("cola", "sst2") if spec.kind == "tasks" else ("sst2",), seeds=1)
    assert covered(draw(table, spec)) == []


@pytest.mark.parametrize("kind", list(KINDS))
def test_words_of_a_single_run_do_not_cover_each_other(sweep, kind):
    assert covered(draw(sweep(("svd",), (64,), seeds=1), PlotSpec(kind))) == []


@given(st.floats(3, 9), st.floats(1.05, 1000), st.sampled_from([2, 10]))
@settings(max_examples=40, deadline=None)
def test_figures_below_an_axis_of_sizes_keep_apart_and_stand_at_the_ends_of_the_data(power, span, base):
    low = 1.0 if base == 2 else 10**power
    figure, (axes,) = panels(1, 4.4, 2.6)
    size_axis(axes, "B", low, low * span, 3.5, base)
    assert covered(figure) == []
    ticks = list(axes.get_xticks())
    assert ticks[0] == low
    assert ticks[-1] == low * span or span < 1.5
    assert ticks[-1] <= low * span


def test_methods_and_their_variants_look_different_also_in_grey():
    assert len({(look(number).color, look(number).marker) for number in range(56)}) == 56
    assert (
        len({(look(number, variant).marker, look(number, variant).dash) for number in range(8) for variant in range(4)})
        == 32
    )


def test_a_method_has_its_look_whatever_else_is_drawn(sweep):
    figure = draw(sweep(("random", "hashed", "svd"), (32, 64)), PlotSpec())
    drawn = {(one.lines[0].get_color(), one.lines[0].get_marker()) for one in figure.axes[0].containers}
    expected = [look(number) for name, number in look_numbers([]).items() if name in ("random", "hashed", "svd")]
    assert {(one.color, one.marker) for one in expected} < drawn


def test_every_method_has_a_number_and_ones_own_come_after_them():
    assert {*looks.METHODS} == {*methods()}
    numbers = look_numbers(["svd", "zeta", "alpha"])
    assert (numbers["alpha"], numbers["zeta"]) == (len(looks.METHODS), len(looks.METHODS) + 1)


def test_a_method_looks_alike_in_all_panels(sweep):
    figure = draw(sweep(("svd", "random"), (32, 64), ("cola", "sst2")), PlotSpec("tasks"))
    looks = [[one.lines[0].get_color() for one in axes.containers] for axes in figure.axes]
    assert looks[0] == looks[1]
    assert len(set(looks[0])) == 3


@pytest.mark.parametrize("ending", ["svg", "png", "pdf"])
def test_the_same_table_gives_the_same_bytes(sweep, tmp_path, ending):
    table = sweep(("svd", "random"), (32, 64))
    files = [tmp_path / f"{name}.{ending}" for name in "ab"]
    for file in files:
        save(draw(table, PlotSpec()), file)
    assert files[0].read_bytes() == files[1].read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == [file.name for file in files]


def test_an_svg_is_one(sweep, tmp_path):
    save(draw(sweep(("svd",), (64,)), PlotSpec()), tmp_path / "a.svg")
    assert ElementTree.fromstring((tmp_path / "a.svg").read_bytes()).tag.endswith("svg")


def test_a_plot_that_cannot_be_written_leaves_the_old_one(sweep, tmp_path, monkeypatch):
    figure, file = draw(sweep(("svd",), (64,)), PlotSpec()), tmp_path / "a.png"
    file.write_bytes(b"old")
    monkeypatch.setattr(type(figure), "savefig", lambda *_, **__: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        save(figure, file)
    assert file.read_bytes() == b"old"


def test_words_of_spectra_do_not_cover_each_other():
    falling = np.geomspace(1, 1e-3, 64)
    assert covered(spectrum({f"a table of a long name {power}": falling**power for power in range(1, 9)})) == []


@pytest.mark.parametrize("kind", KINDS)
def test_dollars_in_names_are_no_formulas(tmp_path, kind):
    name = r"cost $\nonsense$ of $5"
    for method, rank in (("none", None), (r"$x^2$", 64)):
        curve = [r"0,10,0.5,,", "1,20,0.4,,"]
        write_run(tmp_path, curve, method=method, rank=rank, data=name, options={"optimizer": {"name": name}})
    write_run(tmp_path, method="svd", rank=32, data=name, error=name, options={"optimizer": {"name": "$a$ b"}})
    figure = draw(build_table(find_records([tmp_path])), PlotSpec(kind))
    save(figure, tmp_path / "plot.png")
    assert figure.axes[0].texts
    assert not [text for text in texts_of(figure) if "$" in text.get_text() and text.get_parse_math()]
