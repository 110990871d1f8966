"""LaTeX that compiles to one page on which nothing sticks out, and keeps every name as it is."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embfact.errors import ConfigError
from embfact.results.collect import Collected
from embfact.results.result_table import build_table
from embfact.results.table.latex import escape
from embfact.results.table.render import render
from embfact.results.table.request import TableRequest
from embfact.runs.record import RunRecord
from tests.helpers.records import make_values

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
        (["sst2"], TableRequest()),
        (["sst2", "cola"], TableRequest()),
        (list(TASKS), TableRequest()),
        (["sst2"], TableRequest(rows=("method",), columns=("rank",), caption="Accuracy on SST-2.")),
        (list(TASKS), TableRequest(rows=("method", "rank"), columns=("params", "dataset"), stat="mean")),
        (list(TASKS), TableRequest(rows=("method", "rank"), columns=("model_bytes", "dataset", "metric", "glue"))),
        (list(TASKS), TableRequest(layout="albert_table3")),
        (list(TASKS), TableRequest(layout="bert_table1")),
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
    lines = render(sweep({"sst2": "accuracy"}), "latex", TableRequest(rows=("method",), columns=("rank",))).splitlines()
    assert r"\begin{tabular}{@{}lS[table-format=2.1]@{}lS[table-format=2.1]@{}lS[table-format=2.1]@{}l@{}}" in lines
    assert r"method & \multicolumn{2}{c}{r=32} & \multicolumn{2}{c}{r=64} & \multicolumn{2}{c}{r=128} \\" in lines


def test_a_negative_figure_has_its_place():
    values = make_values(metrics={"validation": {"matthews": -0.123}})
    table = build_table(Collected((RunRecord.model_validate(values),)))
    assert "S[table-format=-2.1]" in render(table, "latex")


NAMES = {name: character for character, name in {"\\": "textbackslash", "~": "textasciitilde"}.items()}
NAMES |= {"textasciicircum": "^", "textless": "<", "textgreater": ">", "textbar": "|", "textasciigrave": "`"}
NAMES |= {"char34": '"'}


def printed(latex):
    """What LaTeX prints of text in which nothing but characters and these names is allowed."""
    found, rest = "", latex
    while rest:
        token = re.match(r"\\(\w+)\{\}|\\([&%$#_{}])|\{\}|--|''|,,|[^\\&%$#_{}~^<>|`\"]", rest)
        assert token, f"LaTeX takes {rest[:20]!r} for a command"
        name, special = token[1], token[2]
        found += (
            NAMES[name]
            if name
            else special or {"{}": "", "--": "\u2013", "''": "\u201d", ",,": "\u201e"}.get(token[0], token[0])
        )
        rest = rest[token.end() :]
    return found


@given(st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"], exclude_characters="±†\u2013")))
def test_every_name_is_printed_as_it_is(text):
    assert printed(escape(text)) == text


@given(st.text())
def test_whatever_is_in_a_name_stays_on_its_line(text):
    assert not set(escape(text)) & set("\n\r\t\0\x0b\u2028\u200b\ufeff")
    escape(text).encode()  # a lone surrogate would end in a traceback


def tex_lines(text):
    """The lines between the rules of a table, as LaTeX sees them."""
    return text[text.index(r"\toprule") : text.index(r"\end{tabular}")].splitlines()


BRACKETS = ("[draft] reviews", "*starred", " [x]", "[2pt]")


@pytest.mark.parametrize("name", BRACKETS)
@pytest.mark.parametrize("rows", [("dataset",), ("dataset", "method"), ("method", "dataset"), ("setting", "method")])
def test_no_row_begins_with_what_a_rule_or_the_end_of_a_row_takes_for_its_argument(name, rows):
    runs = [make_values(*which, data=data) for which in (("none", None), ("svd", 64)) for data in (name, "sst2")]
    runs += [make_values("svd", 64, data="sst2", options={"optimizer": {"lr": name}})]
    table = build_table(Collected(tuple(map(RunRecord.model_validate, runs))))
    columns = tuple(field for field in ("dataset", "method", "setting") if field not in rows)
    lines = tex_lines(render(table, "latex", TableRequest(rows=rows, columns=columns)))
    assert not [line for line in lines if line.lstrip().startswith(("[", "*"))]
    assert any(line.lstrip().startswith(r"{}" + name.strip()[0]) or name.strip() in line for line in lines)


def test_a_row_that_begins_with_a_bracket_keeps_it():
    values = [make_values("[mine]", 64), make_values("*best", 64), make_values("svd", 64)]
    lines = tex_lines(render(build_table(Collected(tuple(map(RunRecord.model_validate, values)))), "latex"))
    assert [line.split(" & ")[0] for line in lines if line.startswith("{}")] == ["{}*best", "{}[mine]"]
    assert any(line.startswith("svd & ") for line in lines)


@pytest.mark.parametrize(("name", "told"), [("sst2 für Ärzte", ""), ("数据集", "据 数 集"), ("ąę", "ą ę")])
def test_characters_that_pdflatex_does_not_print_are_told_in_a_comment(name, told):
    text = render(build_table(Collected((RunRecord.model_validate(make_values(data=name)),))), "latex")
    comments = [line for line in text.splitlines() if line.startswith("% needs more")]
    assert len(comments) == bool(told)
    assert all(f" {told}: " in line and "lualatex" in line for line in comments)


@pytest.mark.parametrize("label", ["tab:50%", "tab:{x}", "a\\b", "tab:#1", "tab\nx"])
def test_a_label_that_latex_would_take_for_something_else_is_refused(label):
    table = build_table(Collected((RunRecord.model_validate(make_values()),)))
    with pytest.raises(ConfigError, match="--label"):
        render(table, "latex", TableRequest(label=label))
    assert r"\label{tab:sst-2_a.b}" in render(table, "latex", TableRequest(label="tab:sst-2_a.b"))
    assert r"\label" not in render(table, "latex", TableRequest(label=""))


HOSTILE = ["[draft] 50% & more", "*a_b^c~d\\e{f}$g#h", "say \"a\" -- ``b'' ,,c", "a|b <c> ?`d", "naïve \u2013 Größe"]
GERMAN = DOCUMENT.replace(
    r"\begin{document}", "\\usepackage[T1]{fontenc}\n\\usepackage[ngerman]{babel}\n\\begin{document}"
)


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("pdflatex"), reason="needs pdflatex: Debian's texlive-science")
@pytest.mark.skipif(not shutil.which("pdftotext"), reason="needs pdftotext: Debian's poppler-utils")
@pytest.mark.parametrize("document", [DOCUMENT, GERMAN], ids=["plain", "german"])
@pytest.mark.parametrize("rows", [("dataset", "method"), ("method", "dataset")])
def test_names_that_begin_with_a_bracket_or_a_star_are_printed_whole(tmp_path, document, rows):
    runs = [make_values(method, 64, data=data) for method in ("[mine]", "*best", "svd") for data in HOSTILE]
    table = build_table(Collected(tuple(map(RunRecord.model_validate, runs))))
    text = render(table, "latex", TableRequest(rows=rows, columns=("metric",), caption=" ".join(HOSTILE)))
    (tmp_path / "table.tex").write_text(document % text)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "table.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    shown = subprocess.run(["pdftotext", "-layout", "table.pdf", "-"], cwd=tmp_path, capture_output=True, check=True)
    words = re.sub(r"\s+", " ", shown.stdout.decode())
    # The usual encoding of a document draws some of the others instead of naming them.
    for name in ["[mine]", "*best", *HOSTILE[:-1]] if document is GERMAN else ["[mine]", "*best", HOSTILE[0]]:
        assert name in words
