"""The picture of a sweep shows the numbers of the table."""

import xml.etree.ElementTree as ElementTree
from statistics import fmean, stdev

import pytest

from embfact.records.collect import Collected
from embfact.records.picture import draw, save
from embfact.records.table import build_table


@pytest.fixture
def table(make):
    def accuracy(value):
        return {"validation": {"accuracy": value}}

    runs = [make("none", None, seed, metrics=accuracy(0.85 + seed / 100)) for seed in range(3)]
    for method, start in (("svd", 0.6), ("random", 0.5)):
        runs += [
            make(method, rank, seed, metrics=accuracy(start + rank / 1000 + seed / 100))
            for rank in (32, 64, 128)
            for seed in range(3)
        ]
    return build_table(Collected(tuple(runs)))


def test_lines_hold_means_and_deviations_of_the_seeds(table):
    axes = draw(table, table.columns[0]).axes[0]
    lines = {container.get_label(): container for container in axes.containers}
    assert len(lines) == 2
    found = sorted(tuple(round(y, 6) for y in container.lines[0].get_ydata()) for container in axes.containers)
    expected = sorted(
        tuple(round(100 * fmean(start + rank / 1000 + seed / 100 for seed in range(3)), 6) for rank in (32, 64, 128))
        for start in (0.6, 0.5)
    )
    assert found == expected
    sizes = axes.containers[0].lines[0].get_xdata()
    assert sizes == pytest.approx([rank * (30522 + 384) / 1e6 for rank in (32, 64, 128)])
    upper, lower = axes.containers[0].lines[1]
    spread = abs(upper.get_ydata()[0] - lower.get_ydata()[0]) / 2
    assert spread == pytest.approx(100 * stdev([0, 0.01, 0.02]))


def test_methods_and_dense_are_named_in_the_picture(table):
    words = [text.get_text() for text in draw(table, table.columns[0]).axes[0].texts]
    assert {"svd", "random"} <= set(words)
    assert any(word.startswith("dense 86.0") for word in words)


def test_the_same_table_gives_the_same_bytes(table, tmp_path):
    for name in ("a.svg", "b.svg"):
        save(draw(table, table.columns[0]), tmp_path / name)
    first, second = ((tmp_path / name).read_bytes() for name in ("a.svg", "b.svg"))
    assert first == second
    assert ElementTree.fromstring(first).tag.endswith("svg")


def test_a_table_of_failures_has_no_picture(make, table):
    failed = build_table(Collected((make(error="no memory"),)))
    with pytest.raises(ValueError, match="no factorized run"):
        draw(failed, table.columns[0])


def test_backbones_are_never_drawn_as_one_line(make):
    run = make("svd", 64)
    other = run.model_copy(update={"model": run.model.model_copy(update={"name": "other"}), "hash": "cd" * 32})
    table = build_table(Collected((run, other)))
    with pytest.raises(ValueError, match=r"several backbones there \(minilm, other\)"):
        draw(table, table.columns[0])
