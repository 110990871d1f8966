"""``scripts/report.py``: a sweep as a folder, whole or not at all."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pytest

from embfact.cli.report import main as report
from embfact.runs.record import write
from tests.helpers.sweeps import Sweep, simulate


def test_one_command_writes_all_of_it(sweep: Sweep) -> None:
    assert report([str(sweep.root)]) == 0
    folder = sweep.root / "report"
    plots = {f"{kind}.{form}" for kind in ("pareto", "retention") for form in ("svg", "png", "pdf")}
    expected = {"README.md", "table.md", "table.tex", "table.csv", "dashboard.html"} | plots
    assert expected <= {path.name for path in folder.iterdir()}
    page = (folder / "README.md").read_text()
    assert "| svd r=128 | dense |" in " ".join(page.split())
    # Learning curves and weights are not there: the page says so instead of passing over it.
    assert "## Left out" in page
    assert "analysis" in page[page.index("## Left out") :]
    for name in plots:
        assert not name.endswith(".svg") or f"({name})" in page


def test_a_light_report_has_what_a_repository_needs(sweep: Sweep) -> None:
    assert report([str(sweep.root), "--light"]) == 0
    folder = sweep.root / "report"
    names = {path.name for path in folder.iterdir()}
    assert {"README.md", "table.md", "table.tex", "table.csv", "pareto.svg"} <= names
    assert not {name for name in names if name.endswith((".png", ".pdf", ".html")) or name == "curves.svg"}
    links = re.findall(r"\]\(([^)]+)\)", (folder / "README.md").read_text())
    assert links
    assert all((folder / link).exists() for link in links)


def test_progress_is_lines_in_a_pipe_and_a_bar_on_a_terminal(
    sweep: Sweep, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert report([str(sweep.root), "--no-analysis"]) == 0
    assert capsys.readouterr().err.splitlines()[:3] == ["tables and statistics", "plots", "dashboard"]
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr("sys.stderr", terminal)
    assert report([str(sweep.root), "--no-analysis"]) == 0
    bars = [part for part in terminal.getvalue().split("\r") if "|" in part]
    assert "plots" in " ".join(bars)
    assert "#####" in bars[-1].replace("\u2588", "#")


def test_data_sets_of_like_names_keep_their_own_plots(tmp_path: Path) -> None:
    names = ["C++", "C#", "\u7535\u5f71"]
    made = Sweep(tmp_path / "runs")
    for place, name in enumerate(names):
        for method, rank in (("none", None), ("svd", 32)):
            made.add(simulate(1, 40, np.random.default_rng(place)), method=method, rank=rank, data=name)
    for record in made.records:
        write(record, made.places[record.hash])
    assert report([str(made.root)]) == 0
    page = (made.root / "report" / "README.md").read_text()
    plots = re.findall(r"\((pareto[^)]*\.svg)\)", page)
    assert len(set(plots)) == len(names)
    assert len({(made.root / "report" / plot).read_text() for plot in plots}) == len(names)
    left_out = {line.partition(":")[0] for line in page.splitlines() if line.startswith("- analysis-")}
    assert len(left_out) == len(names)


def test_an_older_report_is_replaced_whole(sweep: Sweep, tmp_path: Path) -> None:
    words = [str(sweep.root), "--no-analysis", "--output", str(tmp_path / "paper")]
    assert report(words) == 0
    (tmp_path / "paper" / "pareto-old.svg").write_text("of an earlier sweep")
    assert report(words) == 0
    assert not (tmp_path / "paper" / "pareto-old.svg").exists()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_files_of_the_user_in_an_older_report_are_never_deleted(
    sweep: Sweep, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report([str(sweep.root)]) == 0
    folder = sweep.root / "report"
    for name in ("notes.txt", "my page.html", "analysis/notes.txt", "sub/a.md"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("mine")
        assert report([str(sweep.root)]) == 2
        assert name.split("/")[0] in capsys.readouterr().err
        assert (folder / name).read_text() == "mine"
        (folder / name).unlink()
        if (folder / name).parent != folder:
            (folder / name).parent.rmdir()
    assert report([str(sweep.root)]) == 0


def test_an_older_report_stays_when_the_new_one_cannot_be_written(
    sweep: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [str(sweep.root), "--no-analysis", "--output", str(tmp_path / "paper")]
    assert report(words) == 0
    before = (tmp_path / "paper" / "README.md").read_text()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("embfact.report.write.save", full)
    assert report(words) == 2
    assert (tmp_path / "paper" / "README.md").read_text() == before
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_what_cannot_be_is_refused_in_words(sweep: Sweep, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    assert report([str(sweep.root), "--output", str(tmp_path / "mine")]) == 2
    assert "--output exists and is not a report" in capsys.readouterr().err
    assert report([str(tmp_path / "nowhere"), "--output", str(tmp_path / "no" / "folder")]) == 2
    told = capsys.readouterr().err
    assert "nowhere" in told
    assert "the folder of --output does not exist" in told
    (tmp_path / "empty").mkdir()
    assert report([str(tmp_path / "empty")]) == 2
    assert "no finished runs" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        report([str(sweep.root), "--tolerance", "none"])


def test_a_sweep_without_dense_runs_has_a_report_without_tests(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path / "runs")
    sweep.add(simulate(2, 50, np.random.default_rng(0)), rank=16)
    for record in sweep.records:
        write(record, sweep.places[record.hash])
    assert report([str(sweep.root), "--output", str(tmp_path / "report")]) == 0
    assert "svd" in (tmp_path / "report" / "table.md").read_text(encoding="utf-8")
