"""The picture of a sweep shows the numbers of the table."""

import xml.etree.ElementTree as ElementTree
from itertools import pairwise
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
    assert list(sizes) == [rank * (30522 + 384) for rank in (32, 64, 128)]
    upper, lower = axes.containers[0].lines[1]
    spread = abs(upper.get_ydata()[0] - lower.get_ydata()[0]) / 2
    assert spread == pytest.approx(100 * stdev([0, 0.01, 0.02]))


def test_methods_and_dense_are_named_in_the_picture(table):
    words = [text.get_text() for text in draw(table, table.columns[0]).axes[0].texts]
    assert {"svd", "random"} <= set(words)
    assert any(word.startswith("dense 86.0") for word in words)


def test_stored_tables_are_drawn_against_bytes_unless_told_otherwise(make, table):
    runs = [run for row in table.rows for run in row.runs]
    runs += [make(method, rank, storage="int8") for method, rank in (("svd", 32), ("svd", 64), ("none", None))]
    stored = build_table(Collected(tuple(runs)))

    def drawn(source, against=None):
        axes = draw(source, source.columns[0], against).axes[0]
        return axes.get_xlabel(), sorted(tuple(one.lines[0].get_xdata()) for one in axes.containers)

    numbers = [rank * (30522 + 384) for rank in (32, 64, 128)]
    label, lines = drawn(stored)
    assert label == "bytes of the token embedding"
    four = tuple(4 * number for number in numbers)
    assert lines == sorted([tuple(numbers[:2]), four, four, (30522 * 384,)])
    label, lines = drawn(stored, "params")
    assert label == "parameters of the token embedding"
    assert lines == sorted([tuple(numbers[:2]), tuple(numbers), tuple(numbers), (30522 * 384,)])
    assert drawn(table)[0] == "parameters of the token embedding"
    assert drawn(table, "bytes")[1] == [four, four]


def test_tables_of_codes_are_drawn_against_bytes(make, table):
    run = make("product_quantization", 64)
    codes = run.size.model_copy(update={"embedding": run.size.embedding.model_copy(update={"bytes": 9_000_000})})
    mixed = build_table(Collected((make("svd", 64), run.model_copy(update={"size": codes}))))
    assert draw(mixed, mixed.columns[0]).axes[0].get_xlabel() == "bytes of the token embedding"


def test_many_lines_all_look_different(make):
    runs = [make(f"method_{number}", 64) for number in range(20)]
    table = build_table(Collected(tuple(runs)))
    lines = [one.lines[0] for one in draw(table, table.columns[0]).axes[0].containers]
    assert len({(line.get_color(), line.get_marker(), line.get_linestyle()) for line in lines}) == 20


def test_names_of_lines_that_end_together_do_not_cover_each_other(make):
    equal = {"validation": {"accuracy": 0.8}}
    runs = [make(f"method_{number}", 64, metrics=equal) for number in range(6)]
    figure = draw(build_table(Collected(tuple(runs))), build_table(Collected(tuple(runs))).columns[0])
    figure.canvas.draw()
    boxes = sorted((text.get_window_extent() for text in figure.axes[0].texts), key=lambda box: box.y0)
    assert len(boxes) == 6
    assert all(low.y1 <= high.y0 for low, high in pairwise(boxes))


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
