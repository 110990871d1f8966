"""Markdown that aligns, LaTeX that is escaped, CSV that gives the numbers back."""

from __future__ import annotations

import csv
import io
import re

import pytest

from embfact.formatting.numbers import short
from embfact.results.collect import Collected
from embfact.results.result_table import build_table
from embfact.results.table.cells import UNDEFINED, rank_range
from embfact.results.table.render import render
from embfact.results.table.request import TableRequest


@pytest.fixture
def sweep(make):
    def value(method, rank, seed):
        return 0.9 if method == "none" else 0.6 + (rank or 0) / 1000 + seed / 100

    cases = [("none", None), *((method, rank) for method in ("svd", "weighted_svd") for rank in (32, 64, 128))]
    return build_table(
        Collected(
            tuple(
                make(method, rank, seed, data, metrics={"validation": {metric: value(method, rank, seed)}})
                for data, metric in [("sst2", "accuracy"), ("cola", "matthews")]
                for method, rank in cases
                for seed in range(3)
            )
        )
    )


def grid(text):
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_markdown_is_aligned_and_fits_a_wide_terminal(sweep):
    lines = [line for line in render(sweep).splitlines() if line.startswith("|")]
    bars = {tuple(place for place, character in enumerate(line) if character == "|") for line in lines}
    assert len(bars) == 1
    assert len(lines[0]) <= 160
    assert len(lines) == 2 + 7


def test_markdown_holds_the_figures(sweep):
    header, _, dense, *rows = grid(render(sweep))
    assert header == [
        *("method", "rank", "emb. params", "emb. bytes", "model params", "model bytes"),
        *("cola matthews", "sst2 accuracy", "seconds"),
    ]
    assert dense[:4] == ["none", UNDEFINED, "11.7M (100.0%)", "46.9MB (100.0%)"]
    small = dict(zip(header, rows[0], strict=True))
    # Means of 0.632, 0.642, 0.652; sizes of 32 (30522 + 384) float32 parameters.
    assert small["sst2 accuracy"] == "64.2 ± 1.0"
    assert small["emb. params"] == "989k (8.4%)"
    assert small["emb. bytes"] == "3.96MB (8.4%)"


def test_markdown_says_how_many_seeds_a_cell_has_when_it_has_fewer(make):
    records = [make("none", None, seed) for seed in range(3)] + [make("svd", 64, 0)]
    text = render(build_table(Collected((*records, make("svd", 32, 0, error="no")))))
    assert "(n=1) 90.0ᵇ" in text
    assert "failedᵃ" in text
    assert "- ᵃ sst2: seeds 0, 1, 2 missing for svd r=32." in text
    assert "- ᵇ sst2: seeds 1, 2 missing for svd r=64." in text


def test_an_undefined_metric_is_a_dash(make):
    table = build_table(Collected((make(metrics={"validation": {"pearson": None}}),)))
    assert grid(render(table))[2][-2] == UNDEFINED + "ᵃ"


def test_stored_tables_are_told_by_their_bytes(make):
    runs = [make("none", None), *(make("svd", 64, storage=storage) for storage in ("float32", "int8"))]
    text = render(build_table(Collected(tuple(runs))))
    header, _, *rows = grid(text)
    found = [(row[0], *row[header.index("emb. params") :][:2]) for row in rows]
    # 64 (30522 + 384) numbers, of four bytes and of one.
    assert found == [
        ("none", "11.7M (100.0%)", "46.9MB (100.0%)"),
        ("svd", "1.98M (16.9%)", "7.91MB (16.9%)"),
        ("svd int8", "1.98M (16.9%)", "1.98MB (4.2%)"),
    ]
    assert "compare their bytes" in text
    assert "compare their bytes" not in render(build_table(Collected(tuple(runs[:2]))))


def test_the_budget_is_a_column_where_there_are_several_and_a_note_where_there_is_one(make):
    def table(*budgets):
        return build_table(Collected((make("none", None), *(make("svd", r, asked=asked) for asked, r in budgets))))

    header, _, *rows = grid(render(table(("b0.1", 38), ("b0.2", 76))))
    assert header[:3] == ["method", "asked", "rank"]
    assert [row[:3] for row in rows] == [
        ["none", "", UNDEFINED],
        ["svd", "budget 0.1", "38"],
        ["svd", "budget 0.2", "76"],
    ]
    text = render(table(("b0.1", 38)))
    assert grid(text)[0][:2] == ["method", "rank"]
    assert "All sizes requested by budget 0.1." in text


def test_what_a_size_counts_is_said_where_it_is_no_rank(make):
    runs = (make("none", None), make("svd", 64), make("vocabulary_pruning", 900, size_name="kept rows"))
    pruned = make("vocabulary_pruning", 900, 1, size_name="kept rows")
    table = build_table(Collected((*runs, pruned)))
    header, _, *rows = grid(render(table))
    assert header[:2] == ["method", "size"]
    assert [row[1] for row in rows] == [UNDEFINED, "rank 64", "kept rows 900"]
    assert "sst2: seed 1 missing for none, svd r=64." in render(table)
    lines = list(csv.DictReader(io.StringIO(render(table, "csv"))))
    assert [(line["rank"], line["size_name"]) for line in lines] == [("", ""), ("64", "rank"), ("900", "kept rows")]


def test_csv_tells_storage_and_asked_size(make):
    runs = (make("none", None), make("svd", 38, storage="int8", asked="b0.1"), make("svd", 38))
    lines = list(csv.DictReader(io.StringIO(render(build_table(Collected(runs)), "csv"))))
    assert [
        (line["method"], line["storage"], line["asked"], line["rank"], line["embedding_bytes"]) for line in lines
    ] == [
        ("none", "float32", "", "", str(4 * 30522 * 384)),
        ("svd", "float32", "r38", "38", str(4 * 38 * (30522 + 384))),
        ("svd", "int8", "b0.1", "38", str(38 * (30522 + 384))),
    ]


def test_csv_tells_the_rank_of_each_data_set(make):
    runs = (make("svd", 61, asked="e0.9"), make("svd", 57, data="rte", asked="e0.9"))
    table = build_table(Collected(runs))
    lines = list(csv.DictReader(io.StringIO(render(table, "csv"))))
    assert [(line["data"], line["rank"]) for line in lines] == [("rte", "57"), ("sst2", "61")]
    assert grid(render(table))[2][1] == "57 to 61"


def test_splits_are_named_where_there_are_several(make):
    metrics = {"validation_matched": {"accuracy": 0.8}, "validation_mismatched": {"accuracy": 0.7}}
    header, _, row = grid(render(build_table(Collected((make(data="mnli", metrics=metrics),)))))
    assert header[-3:-1] == ["mnli validation_matched accuracy", "mnli validation_mismatched accuracy"]
    assert row[-3:-1] == ["80.0", "70.0"]


BY_DATA = TableRequest(rows=("dataset", "method"), columns=("metric",), bold="none")


def test_names_cannot_break_out_of_markdown_or_latex(make):
    table = build_table(Collected((make(data="a|b & 100%_$x\\y"),)))
    assert len({len(line) for line in grid(render(table))}) == 1
    latex = render(table, "latex")
    assert r"{a\textbar{}b \& 100\%\_\$x\textbackslash{}y}" in latex  # a bare bar is printed as a dash


@pytest.mark.parametrize("name", ["a|b", "a\\|b", "a\\\\|b", "two\nlines", "a\r\n\r\nb", "\u2028|", "|", "[x](y) <b>"])
def test_a_name_stays_in_its_cell_of_markdown(make, name):
    text = render(build_table(Collected((make("none", None, data=name), make("svd", data=name)))), "md", BY_DATA)
    lines = [line for line in text.split("\n") if line.startswith("|")]
    assert len(lines) == 4
    for line in lines:
        # A backslash takes the character behind it: so GitHub's tables are read.
        assert re.sub(r"\\.", "", line).count("|") == 4
    assert not re.search(r"[\r\u2028]", text)


FORMULAS = ['=HYPERLINK("http://x","y")', "+1+cmd", "-2+3", "@SUM(A1)", "\t=1", 'plain, "quoted"', "two\nlines"]


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("request_", [TableRequest(), TableRequest(rows=("dataset", "method"), columns=("metric",))])
def test_no_name_is_a_formula_of_a_spreadsheet(make, name, request_):
    metrics = {"validation": {"matthews": -0.25}}
    table = build_table(Collected((make("svd", data=name, metrics=metrics),)))
    (line,) = csv.DictReader(io.StringIO(render(table, "csv", request_)))
    values = [value for value in line.values() if value]
    assert not [value for value in values if re.match(r"[=+@\t\r]|-(?!\d*\.?\d+$)", value)]
    assert name in [value.removeprefix("'") for value in values]
    assert "-0.25" in values  # a number stays one


def cells(line):
    """Columns that a line of LaTeX fills."""
    spans = [int(span) - 1 for span in re.findall(r"\\multicolumn\{(\d+)\}", line)]
    return len(re.split(r"(?<!\\)&", line)) + sum(spans)


def test_latex_rows_have_as_many_cells_as_the_tabular_has_columns(sweep):
    latex = render(sweep, "latex")
    body = [line for line in latex.splitlines() if line.endswith(r"\\")]
    assert len(body) == 2 + 7
    # Words, rank, four sizes with their shares, two figures with their deviations, seconds.
    assert {cells(line) for line in body} == {2 + 2 * 4 + 2 * 2 + 1}
    # A rule below the header, and between dense, svd and weighted_svd.
    assert [latex.count("\\" + rule) for rule in ("toprule", "midrule", "bottomrule")] == [1, 3, 1]
    assert r"weighted\_svd & 32" in latex
    assert not re.search(r"(?<!\\)%(?! needs)", latex)


def test_csv_gives_every_number_back_unrounded(sweep):
    lines = list(csv.DictReader(io.StringIO(render(sweep, "csv"))))
    assert len(lines) == 7 * 2
    for line in lines:
        row = next(r for r in sweep.rows if (r.method, rank_range(r.ranks)) == (line["method"], line["rank"]))
        column = next(column for column in sweep.columns if column.data.label == line["data"])
        spread = row.spread(column)
        assert float(line[f"validation_{column.metric}_mean"]) == spread.mean
        assert float(line[f"validation_{column.metric}_std"]) == spread.std
        assert (line["seeds"], line["missing_seeds"], line["failed_runs"]) == ("0 1 2", "", "0")
        assert int(line["embedding_bytes"]) == row.runs[0].size.embedding.bytes
        assert int(line["dense_model_parameters"]) == row.runs[0].size.dense.model.parameters


@pytest.mark.parametrize(
    "request_",
    [
        TableRequest(),
        TableRequest(rows=("method", "rank", "setting"), columns=("dataset",)),
        TableRequest(rows=("method",), columns=("dataset", "rank")),
        TableRequest(layout="albert_table3"),
    ],
)
def test_csv_has_empty_cells_where_print_has_dashes(make, request_):
    table = build_table(Collected((make("none", None), make("svd", 64), make("svd", 64, data="cola"))))
    assert UNDEFINED in render(table, "md", request_) or not request_.rows
    for line in csv.DictReader(io.StringIO(render(table, "csv", request_))):
        assert UNDEFINED not in line.values()


def test_csv_marks_missing_seeds_and_failures(make):
    records = (make("none", None, 0), make("none", None, 1), make("svd", 64, 0), make("svd", 64, 1, error="no"))
    lines = list(csv.DictReader(io.StringIO(render(build_table(Collected(records)), "csv"))))
    assert [(line["method"], line["missing_seeds"], line["failed_runs"]) for line in lines] == [
        ("none", "", "0"),
        ("svd", "1", "1"),
    ]


def test_an_unknown_format_is_refused(sweep):
    with pytest.raises(ValueError, match="use one of: md, latex, csv, html, json"):
        render(sweep, "rtf")


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1.00k"),
        (9_994, "9.99k"),
        (9_996, "10.0k"),
        (99_960, "100k"),
        (999_499, "999k"),
        (999_500, "1.00M"),
        (11_720_448, "11.7M"),
        (2_500_000_000, "2.50G"),
    ],
)
def test_sizes_have_three_digits(count, text):
    assert short(count) == text
