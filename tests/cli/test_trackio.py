"""``logger=trackio``: the same runs and the same table of a sweep, in a dashboard of this machine."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from embfact.results.wandb.values import row, summary
from embfact.runs.record import RunRecord, read
from tests.helpers.commands import Answer, environment
from tests.helpers.places import ROOT

HEAVY = {"torch", "transformers", "pytorch_lightning", "datasets", "pandas", "wandb", "matplotlib"}
WORDS = ["logger=trackio", "logger.project=mine", "output_dir=runs", "experiment_name=toy", "trainer.batch_size=8"]
Calls = dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def stub() -> Iterator[pytest.MonkeyPatch]:
    """The stand-in, on the path."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "tests" / "helpers" / "trackio"))
        patch.delitem(sys.modules, "trackio", raising=False)
        yield patch
    sys.modules.pop("trackio", None)


@dataclass(frozen=True)
class Logged:
    """A sweep of a method and its dense run, what it answered, and what trackio was told."""

    folder: Path
    answer: Answer
    words: list[str]

    @property
    def records(self) -> list[RunRecord]:
        return [read(path.parent) for path in sorted(self.folder.glob("runs/*/record.json"))]

    @property
    def calls(self) -> Calls:
        """Run -> its calls."""
        found: Calls = defaultdict(list)
        for line in (self.folder / "mine.jsonl").read_text().splitlines():
            call = json.loads(line)
            found[call["run"]].append(call)
        return found

    def of(self, record: RunRecord) -> list[dict[str, Any]]:
        (name,) = [name for name in self.calls if name.startswith(record.name)]
        return self.calls[name]

    @property
    def sweeps(self) -> Calls:
        return {name: calls for name, calls in self.calls.items() if "(sweep)" in name}


@pytest.fixture(scope="module")
def logged(train: Any, tiny: list[str], stub: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Logged:
    folder = tmp_path_factory.mktemp("tracked")
    stub.setenv("TRACKIO_DIR", str(folder))
    words = [*tiny, *WORDS, "factorization=svd", "rank=8", "-m"]
    return Logged(folder, train(*words, cwd=folder), words)


def test_a_sweep_ends_with_the_command_that_shows_it(logged: Logged) -> None:
    assert (logged.answer.code, logged.answer.err) == (0, "")
    assert logged.answer.out.splitlines()[-1] == "to see the runs: trackio show --project mine"
    # Its own messages are in the logs of the runs.
    assert "* " not in logged.answer.out
    logs = [(logged.folder / "runs" / record.name / "log.txt").read_text() for record in logged.records]
    assert all("Trackio project initialized: mine" in log for log in logs)
    assert list(logged.folder.rglob("wandb")) == []


def test_every_run_is_opened_once_with_what_it_is_grouped_by(logged: Logged) -> None:
    assert len(logged.records) == 2
    for record in logged.records:
        first, *_, last = logged.of(record)
        assert [call["call"] for call in logged.of(record)].count("init") == 1
        assert (first["call"], first["group"], first["resume"]) == ("init", "toy", "allow")
        expected = {"method": record.method.name, "dataset": "vader", "backbone": "bert-scratch", "hash": record.hash}
        assert {name: first["config"][name] for name in expected} == expected
        assert last["call"] == "finish"


def test_every_run_has_curves_figures_and_its_line_of_the_table(logged: Logged) -> None:
    for record in logged.records:
        told = [call for call in logged.of(record) if call["call"] == "log"]
        steps = [call["step"] for call in told if "train/loss" in call["metrics"]]
        assert steps
        assert all(isinstance(step, int) for step in steps)
        together = {name: value for call in told for name, value in call["metrics"].items()}
        assert {name: together[name] for name in summary(record)} == summary(record)
        assert together["result_table"] == [row(record)]


def test_the_table_of_the_sweep_and_its_picture_are_a_run_of_the_group(logged: Logged) -> None:
    ((first, *rest, last),) = logged.sweeps.values()
    assert (first["group"], first["config"]["job_type"], last["call"]) == ("toy", "sweep", "finish")
    together = {name: value for call in rest for name, value in call["metrics"].items()}
    sizes = {record.method.name: record.size.embedding.parameters for record in logged.records}
    assert {line["method"]: line["embedding_parameters"] for line in together["sweep/table"]} == sizes
    assert {line["method"] for line in together["sweep/pareto_table"]} == set(sizes)
    assert together["sweep/pareto_picture"]["bytes"] > 1000


def test_a_sweep_that_is_repeated_writes_nothing_twice(logged: Logged, train: Any) -> None:
    before = (logged.folder / "mine.jsonl").read_text()
    assert train(*logged.words, cwd=logged.folder).code == 0
    assert (logged.folder / "mine.jsonl").read_text() == before


@pytest.mark.usefixtures("stub")
def test_a_fault_of_trackio_is_told_and_the_sweep_goes_on(
    train: Any, tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path))
    monkeypatch.setenv("TRACKIO_BROKEN", "1")
    answer = train(*tiny, *WORDS, "factorization=svd", "rank=8", "baseline=false", "-m", cwd=tmp_path)
    assert answer.code == 0
    assert answer.err.count("trackio stopped working; the run continues without it: no database") == 1
    assert answer.err.count("trackio does not have the table of the sweep") == 1


def test_without_trackio_it_is_refused_before_anything_is_imported(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "sys.modules['trackio'] = None\n"
        "from embfact.cli.train import main\n"
        f"code = main(Path({str(ROOT / 'conf')!r}), ['logger=trackio', 'output_dir=runs', '-m'])\n"
        "print(code, sorted({name.split('.')[0] for name in sys.modules}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment(), cwd=tmp_path, check=True
    )
    code, imported = done.stdout.split(maxsplit=1)
    assert code == "2"
    assert "logger=trackio needs trackio, which is not installed; pip install 'embfact[trackio]'" in done.stderr
    assert [name for name in HEAVY if f"'{name}'" in imported] == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [["logger.mode=online"], ["logger.entity=me"]])
@pytest.mark.usefixtures("stub")
def test_what_only_wandb_has_is_refused(words: list[str], train: Any, tmp_path: Path) -> None:
    answer = train("logger=trackio", *words, "plan=true", cwd=tmp_path)
    assert (answer.code, answer.out) == (2, "")
    assert "logger=wandb" in answer.err


def test_no_logger_needs_no_package(train: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trackio", None)
    answer = train("model=bert_scratch", "logger=trackio", "logger.mode=none", "plan=true", cwd=tmp_path)
    assert (answer.code, answer.err) == (0, "")
