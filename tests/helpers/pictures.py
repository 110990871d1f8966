"""Made-up sweeps, as records and as the run directories that a plot reads."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.text import Text

from embfact.results.collect import find_records
from embfact.results.result_table import ResultTable, build_table
from tests.helpers.records import make_values


def write_run(folder: Path, curve: Sequence[str] | None = None, **values: Any) -> Path:
    """A run directory below a folder; `curve` are the lines of its learning curve below the header."""
    made = make_values(**values)
    run = folder / made["name"]
    run.mkdir(parents=True)
    (run / "record.json").write_text(json.dumps(made))
    if curve is not None:
        lines = ["epoch,step,train/loss,selection/accuracy,selection/loss", *curve]
        (run / "metrics.csv").write_text("\n".join(lines) + "\n")
    return run


def write_sweep(
    folder: Path, methods: Sequence[str], ranks: Sequence[int], data: Sequence[str] = ("sst2",), seeds: int = 2
) -> ResultTable:
    """A sweep on disk: methods x ranks x data sets x seeds, every run with a learning curve."""
    for one in data:
        for place, (method, rank) in enumerate([("none", None), *((m, r) for m in methods for r in ranks)]):
            for seed in range(seeds):
                value = 0.9 - 0.4 * place / (1 + len(methods) * len(ranks)) + seed / 200
                curve = [f"0,10,{1 - value},,", f"0,20,,{value / 2},0.4", f"1,30,{0.9 - value},,"]
                curve += [f"1,40,,{value},0.3"]
                metrics = {"validation": {"accuracy": value}}
                write_run(folder, curve, method=method, rank=rank, seed=seed, data=one, metrics=metrics)
    return build_table(find_records([folder]))


def covered(figure: Figure) -> list[tuple[str, str]]:
    """Pairs of words that lie on each other, or on the edge of the figure (then with an empty partner)."""
    figure.set_dpi(150)  # as a PNG is saved
    figure.draw_without_rendering()
    texts = [text for text in texts_of(figure) if text.get_visible() and text.get_text().strip()]
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts]
    pairs = [(a, b) for (a, one), (b, other) in combinations(boxes, 2) if one.padded(-0.5).overlaps(other.padded(-0.5))]
    frame = figure.bbox.padded(1)
    outside = [
        (words, "")
        for words, box in boxes
        if box.x0 < frame.x0 or box.y0 < frame.y0 or box.x1 > frame.x1 or box.y1 > frame.y1
    ]
    return pairs + outside


def texts_of(figure: Figure) -> Iterator[Text]:
    """Every text of a figure that is seen."""
    yield from (text for text in (figure._suptitle, figure._supxlabel) if text is not None)
    for axes in [one for panel in figure.axes for one in (panel, *panel.child_axes)]:
        yield from axes.texts
        yield from (axes.title, axes._left_title, axes.xaxis.label, axes.yaxis.label)
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            yield from (tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high)
