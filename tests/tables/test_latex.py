"""LaTeX that compiles to one page on which nothing sticks out, and keeps every name as it is."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embfact.records.collect import Collected
from embfact.records.record import RunRecord
from embfact.records.table import build_table
from embfact.tables.latex import escape
from embfact.tables.render import render
from embfact.tables.request import Request
from tests.records.conftest import make_values

DOCUMENT = r"""\documentclass{article}
\usepackage{booktabs,siunitx,adjustbox,rotating}
\begin{document}
%s
\end{document}
"""
TASKS = {"cola": "matthews", "qnli": "accuracy", "rte": "accuracy", "sst2": "accuracy", "stsb": "spearman"}


def sweep(tasks):
    """Three seeds of everything but two runs: one is missing, one failed with a message full of special characters."""
    methods = [("none", None), *((method, rank) for method in ("svd", "weighted_svd") for rank in (32, 64, 128))]
    runs = []
    for data, metric in tasks.items():
        for method, rank in methods:
            for seed in range(3):
                value = 0.9 if rank is None else (rank / 150 if data == "cola" else 0.7 + rank / 1000) - 0.3
                metrics = {"validation": {metric: value + seed / 100}}
                error = r"\input{x} 50% of $HOME/a_b & {c} #1 ~^" if (rank, seed) == (64, 1) else None
                if (data, rank, seed) != ("sst2", 32, 2):
                    runs.append(RunRecord.model_validate(make_values(method, rank, seed, data, metrics, error)))
    return build_table(Collected(tuple(runs), ("/a/very/long/path" * 9 + "/record.json is cut off",)))


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("pdflatex"), reason="needs pdflatex: Debian's texlive-science")
@pytest.mark.skipif(not shutil.which("pdftoppm"), reason="needs pdftoppm: Debian's poppler-utils")
@pytest.mark.parametrize(
    ("tasks", "request_"),
    [
        (["sst2"], Request()),
        (["sst2", "cola"], Request()),
        (list(TASKS), Request()),
        (["sst2"], Request(rows=("method",), columns=("rank",), caption="Accuracy on SST-2.")),
        (list(TASKS), Request(rows=("method", "rank"), columns=("params", "dataset"), stat="mean")),
        (list(TASKS), Request(rows=("method", "rank"), columns=("model_bytes", "dataset", "metric", "glue"))),
        (list(TASKS), Request(layout="albert_table3")),
        (list(TASKS), Request(layout="bert_table1")),
    ],
)
def test_it_compiles_to_one_page(tmp_path, tasks, request_):
    text = render(sweep({task: TASKS[task] for task in tasks}), "latex", request_)
    (tmp_path / "table.tex").write_text(DOCUMENT % text)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "table.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    log = (tmp_path / "table.log").read_text(errors="replace")
    assert "Overfull \\hbox" not in log
    assert "Output written on table.pdf (1 page" in log
    subprocess.run(["pdftoppm", "-png", "-r", "60", "table.pdf", "page"], cwd=tmp_path, check=True)
    (page,) = tmp_path.glob("page*.png")
    assert page.stat().st_size > 5000  # an empty page has a third of it


def test_deviations_stand_in_a_column_of_their_own_beside_aligned_figures():
    lines = render(sweep({"sst2": "accuracy"}), "latex", Request(rows=("method",), columns=("rank",))).splitlines()
    assert r"\begin{tabular}{@{}lS[table-format=2.1]@{}lS[table-format=2.1]@{}lS[table-format=2.1]@{}l@{}}" in lines
    assert r"method & \multicolumn{2}{c}{r=32} & \multicolumn{2}{c}{r=64} & \multicolumn{2}{c}{r=128} \\" in lines


def test_a_negative_figure_has_its_place():
    values = make_values(metrics={"validation": {"matthews": -0.123}})
    table = build_table(Collected((RunRecord.model_validate(values),)))
    assert "S[table-format=-2.1]" in render(table, "latex")


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126)))
def test_escaped_text_holds_no_command_of_its_own(text):
    escaped = escape(text)
    for word in (r"\textbackslash{}", r"\textasciitilde{}", r"\textasciicircum{}", r"\textless{}", r"\textgreater{}"):
        escaped = escaped.replace(word, "")
    for character in "&%$#_{}":
        escaped = escaped.replace("\\" + character, "")
    assert not set(escaped) & set("\\&%$#_{}~^<>")
