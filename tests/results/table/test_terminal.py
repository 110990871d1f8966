"""A table on a terminal fits its width: what matters most stays, and nothing is broken across lines."""

from __future__ import annotations

import pytest

from embfact.results.collect import Collected
from embfact.results.result_table import ResultTable, build_table
from embfact.results.table.cells import UNDEFINED
from embfact.results.table.render import render
from embfact.results.table.request import TableRequest
from embfact.results.table.terminal import terminal_width

METHODS = [("none", None), ("svd", 64), ("kronecker_svd", 128)]


def table(make, data=("movie_sentences",), seeds=2, methods=METHODS, **options) -> ResultTable:
    records = [
        make(method, rank, seed, name, metrics={"test": {"accuracy": 0.8 + seed / 100}}, **options)
        for name in data
        for method, rank in methods
        for seed in range(seeds)
    ]
    return build_table(Collected(tuple(records)))


def rows(text: str) -> list[list[list[str]]]:
    """The cells of each table of a text."""
    blocks = [block for block in text.split("\n\n") if block.startswith("|")]
    return [[[cell.strip() for cell in line.split("|")[1:-1]] for line in block.splitlines()] for block in blocks]


def test_80_columns_have_method_rank_size_and_metric(make):
    text = render(table(make), width=80)
    assert max(map(len, text.splitlines())) <= 80
    ((header, _, dense, *_),) = rows(text)
    assert header == ["method", "rank", "emb. params", "emb. bytes", "accuracy"]
    assert dense == ["none", UNDEFINED, "11.7M (100.0%)", "46.9MB (100.0%)", "80.5 ± 0.7"]
    assert "movie_sentences: accuracy on test" in text, "the data set is named below the table"
    assert "No room for model params, model bytes, seconds" in " ".join(text.split())
    assert "of the model" not in " ".join(text.split()), "the legend explains what is shown"


def test_120_columns_have_everything(make):
    ((header, *_),) = rows(render(table(make), width=120))
    assert header == [
        *("method", "rank", "emb. params", "emb. bytes", "model params", "model bytes"),
        *("accuracy", "seconds"),
    ]


def test_a_wide_terminal_and_a_file_have_the_same_table(make):
    assert rows(render(table(make), width=400)) == rows(render(table(make)))
    assert max(map(len, render(table(make)).splitlines())) > 140, "a file takes lines of any length"


@pytest.mark.parametrize("width", [60, 80, 100, 120])
@pytest.mark.parametrize("tasks", [1, 9])
def test_every_figure_is_there_at_any_width(make, width, tasks):
    found = table(make, [f"data_set_{number}" for number in range(tasks)])
    text = render(found, width=width)
    assert max(map(len, text.splitlines())) <= width
    blocks = rows(text)
    assert {tuple(line[:2]) for block in blocks for line in block[2:]} == {
        ("none", UNDEFINED),
        ("svd", "64"),
        ("kronecker_svd", "128"),
    }
    figures = [heading for block in blocks for heading in block[0] if heading.endswith("accuracy")]
    assert len(figures) == tasks
    assert len(set(figures)) == tasks


def test_long_options_continue_on_further_lines(make):
    options = [{"optimizer": {"lr": rate, "warmup_ratio": 0.06, "weight_decay": rate}} for rate in (1e-5, 2e-5)]
    scores = {"test": {"accuracy": 0.8}}
    records = [make(method, rank, options=one, metrics=scores) for one in options for method, rank in METHODS]
    found = build_table(Collected(tuple(records)))
    text = render(found, width=60)
    assert max(map(len, text.splitlines())) <= 60
    settings = {row.setting for row in found.rows}
    place = rows(text)[0][0].index("setting")
    words = " ".join(line[place] for line in rows(text)[0][2:])
    assert all(setting in words for setting in settings)


def test_one_note_for_all_metrics_of_which_the_same_is_true(make):
    """Marked once, however many metrics say it."""
    record = make("svd", 64, metrics={"test": {"accuracy": 0.5, "f1": 0.5}})
    record = record.model_copy(update={"baselines": {"test": {"majority": {"accuracy": 0.5, "f1": 0.5}}}})
    text = render(build_table(Collected((record,))))
    assert text.count("as if nothing was learned") == 1
    assert "accuracy on test and sst2 f1 on test are not clearly above" in text


def test_why_runs_failed_is_left_to_the_command_that_counts_it(make):
    records = [make("none", None), make("svd", 64), make("svd", 32, error="out of memory")]
    found = build_table(Collected(tuple(records)))
    assert "out of memory" in render(found)
    text = render(found, request=TableRequest(reasons=False))
    assert "out of memory" not in text
    assert "failed" in text
    assert "seed 0 missing for svd r=32" in text


def test_the_width_is_that_of_the_terminal_or_of_columns(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    assert terminal_width() is None, "pytest captures the output: no terminal"
    monkeypatch.setenv("COLUMNS", "91")
    assert terminal_width() == 91
    for none in ("", "0", "many"):
        monkeypatch.setenv("COLUMNS", none)
        assert terminal_width() is None
