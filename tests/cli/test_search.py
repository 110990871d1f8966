"""A searched sweep: every method has its own options, found by equally many trials on the held-out slice."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from embfact.runs.record import read
from tests.helpers.places import ROOT

TRAIN = ROOT / "train.py"
SEARCH = ["experiment=search_lr", "factorization=svd", "rank=8", "seed=0,1"]
SMALL = ["search.trials=3", "search.startup=2", "search.checks=3", "optimizer.lr=1e-4"]


@dataclass(frozen=True)
class Searched:
    """A finished searched sweep: where it ran, what it said, and how to repeat it."""

    folder: Path
    out: str
    command: Callable[..., Any]

    def rates(self) -> dict[tuple[str, int], dict[str, float]]:
        """The learning rate of each run, and the factor on it where it has one, by method and seed."""
        records = [read(path) for path in sorted(self.folder.glob("runs/vader-*/"))]
        return {
            (record.method.name, record.seed): {
                f"optimizer.{name}": record.config["optimizer"][name]
                for name in ("lr", "embedding_lr")
                if name == "lr" or record.method.name != "none"
            }
            for record in records
        }


@pytest.fixture(scope="module")
def searched(train: Any, tiny: list[str], tmp_path_factory: pytest.TempPathFactory) -> Searched:
    """Two studies of three trials and four runs, which tests may read."""
    folder = tmp_path_factory.mktemp("search")

    def command(*words: str) -> Any:
        return train(*SEARCH, *tiny, *SMALL, "output_dir=runs", *words, cwd=folder)

    answer = command()
    assert (answer.code, answer.err) == (0, "")
    return Searched(folder, answer.out, command)


def trials(database: Path) -> dict[str, list[str]]:
    """The states of the trials of every study, in their order."""
    query = "select study_name, state from trials join studies using (study_id) order by trial_id"
    found: dict[str, list[str]] = {}
    with sqlite3.connect(database) as connection:
        for study, state in connection.execute(query):
            found.setdefault(study.removeprefix("vader-bert-scratch-")[:-9], []).append(state)
    return found


def table_of(out: str) -> list[str]:
    return [line for line in out.splitlines() if line.startswith("| ")]


def test_every_method_and_the_baseline_have_a_study_of_the_same_length(searched: Searched) -> None:
    found = trials(searched.folder / "runs" / "search.db")
    assert {study: len(states) for study, states in found.items()} == {"none": 3, "svd-r8": 3}
    assert set().union(*found.values()) <= {"COMPLETE", "PRUNED"}
    lines = re.findall(r"^\[search (\d/2)\] vader-bert-scratch-(none|svd-r8)-\w{8}  3 trials", searched.out, re.M)
    assert lines == [("1/2", "none"), ("2/2", "svd-r8")]


def test_all_seeds_of_a_method_train_with_what_its_study_found(searched: Searched) -> None:
    lines = re.findall(r"bert-scratch-(none|svd)\S* .* with (optimizer\S+(?: optimizer\S+)*)", searched.out)
    said = {
        method: {name: float(value) for name, value in (word.split("=") for word in words.split())}
        for method, words in lines
    }
    assert searched.rates() == {(method, seed): found for method, found in said.items() for seed in (0, 1)}
    assert {method: len(found) for method, found in said.items()} == {"none": 1, "svd": 2}
    assert all(3e-5 <= found["optimizer.lr"] <= 5e-4 and found["optimizer.lr"] != 1e-4 for found in said.values())
    assert 0.3 <= said["svd"]["optimizer.embedding_lr"] <= 10


def test_the_table_says_how_it_was_tuned(searched: Searched) -> None:
    how = "tuned on the held-out slice: 3 trials of 2 seeds for each method and size"
    assert f"optimizer.lr (3e-05 to 0.0005) {how}." in searched.out
    assert f"optimizer.embedding_lr (0.3 to 10) {how} that has it." in searched.out
    assert "Tuned differently" not in searched.out


def test_nothing_is_left_of_the_trials_but_the_studies(searched: Searched) -> None:
    names = {path.name for path in (searched.folder / "runs").iterdir() if not path.name.startswith("vader-")}
    assert names == {"search.db"}
    assert not list(searched.folder.rglob("wandb"))


def test_the_same_command_tunes_and_trains_nothing_again(searched: Searched, files_below: Any) -> None:
    before = {name: time for name, time in files_below(searched.folder).items() if not name.endswith("runs")}
    answer = searched.command()
    assert answer.code == 0
    assert "[search" not in answer.out
    assert "4 of 4 runs are already finished" in answer.out
    assert table_of(answer.out) == table_of(searched.out)
    after = files_below(searched.folder)
    assert {name: after[name] for name in before} == before


def test_a_plan_tells_of_studies_and_runs_and_writes_nothing(searched: Searched, files_below: Any) -> None:
    before = files_below(searched.folder)
    done = searched.command("plan=true")
    assert (done.code, done.err) == (0, "")
    assert "search of optimizer.lr, optimizer.embedding_lr: 2 studies, 0 trials to do; 0 runs wait for it" in done.out
    assert "4 runs, 4 finished" in done.out
    longer = searched.command("plan=true", "search.trials=5")
    assert re.search(r"svd-r8-\w{8} +2 trials to do$", longer.out, re.M)
    assert "2 studies, 4 trials to do; 4 runs wait for it" in longer.out
    more = searched.command("plan=true", "seed=0,1,2")
    assert "6 runs, 4 finished, 2 to do" in more.out
    assert files_below(searched.folder) == before


def test_a_run_outside_of_the_search_with_the_same_options_is_the_same_run(searched: Searched, tiny: list[str]) -> None:
    options = [f"{name}={value}" for name, value in searched.rates()["svd", 0].items()]
    answer = searched.command("search=none", "search.trials=0", "factorization=svd", *options, "plan=true")
    assert "svd" in answer.out
    assert re.search(r"svd-r8-s0-\w{8} +finished", answer.out)


def test_a_table_of_tuned_and_untuned_runs_warns(searched: Searched, train: Any, tiny: list[str]) -> None:
    words = ["factorization=random", "rank=4", "baseline=false", "seed=0,1", "-m", "output_dir=others"]
    assert train(*tiny, *words, cwd=searched.folder).code == 0
    script = TRAIN.parent / "scripts" / "table.py"
    folders = [searched.folder / "runs", searched.folder / "others"]
    table = subprocess.run([sys.executable, script, *folders], capture_output=True, text=True, check=True)
    assert "Tuned differently" in table.stdout
    assert "not tuned (random r=4" in table.stdout


def test_a_study_that_finds_nothing_keeps_its_own_runs_from_starting(
    train: Any, tiny: list[str], tmp_path: Path
) -> None:
    rows = [f"a {'fine' if row % 2 else 'dull'} film number {row},{row % 2}" for row in range(40)]
    (tmp_path / "valid.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    (tmp_path / "good.csv").write_text("\n".join(["text,label", *rows]) + "\n\n")
    (tmp_path / "broken.csv").write_text("\n".join(["text,label", *rows[:20], ",1", *rows[20:]]) + "\n")
    files = ["data=files", "data.train_file=good.csv,broken.csv", "data.validation_file=valid.csv"]
    sizes = ["data.train_size=16", "data.eval_size=16", "data.selection_size=8"]
    words = ["search=lr", "search.trials=2", "factorization=none", "baseline=false", "output_dir=runs", "-m"]
    answer = train(*tiny, *files, *sizes, *words, cwd=tmp_path)
    assert answer.code == 1
    (line,) = answer.err.splitlines()
    assert line.startswith("not run: files bert-scratch none s0: its search found nothing: of 2 trials 2 failed")
    assert "broken.csv, line 22" in line
    (log,) = tmp_path.glob("runs/search/*/log.txt")
    assert str(log.parent.relative_to(tmp_path)) in line
    assert "Traceback (most recent call last)" in log.read_text()
    (run,) = tmp_path.glob("runs/files-*/")
    assert read(run).status == "finished"


def test_a_damaged_database_is_told_with_the_remedy(train: Any, tiny: list[str], tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "search.db").write_bytes(b"no database at all" * 100)
    answer = train(*tiny, "search=lr", "search.trials=1", "rank=8", "output_dir=runs", cwd=tmp_path)
    assert answer.code == 1
    assert "search.db" in answer.err
    assert "delete the file to search again" in answer.err
    assert "Traceback" not in answer.err + answer.out


BAD = {
    "misspelt option": ("+search.space.optimizer.rl={low: 0.1, high: 0.2}", "optimizer.rl", "'optimizer.lr'"),
    "option of the data": ("+search.space.data.split_seed={low: 1, high: 2}", "data.split_seed", "optimizer.lr"),
    "whole number": ("+search.space.trainer.epochs={low: 1, high: 2}", "trainer.epochs", "trainer.gradient_clip"),
    "impossible bound": ("+search.space.task.dropout={low: 0.0, high: 1.0}", "task.dropout", "less than 1"),
    "upside down": ("search.space.optimizer.lr.low=1.0", "low < high", "0.0005"),
    "no number": ("search.space.optimizer.lr.low=small", "optimizer.lr.low", "'small'"),
    "logarithm of nothing": ("+search.space.optimizer.eps={low: 0.0, high: 1.0, log: true}", "low above 0"),
    "nothing to tune": ("search=none search.trials=3", "search.space", "search=lr"),
    "nothing to judge by": ("data.selection_size=0 checkpoint=last", "held-out slice", "data.selection_size"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_search_that_cannot_work_is_refused(train: Any, tiny: list[str], tmp_path: Path, name: str) -> None:
    words, *told = BAD[name]
    split = [words] if words.startswith("+") else words.split()
    answer = train(*tiny, "search=lr", "output_dir=runs", *split, cwd=tmp_path)
    assert answer.code == 2
    assert all(word in answer.err for word in told), answer.err
    assert list(tmp_path.iterdir()) == []


def test_a_missing_optuna_is_told_with_the_command_that_installs_it(
    train: Any, tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    answer = train(*tiny, "search=lr", cwd=tmp_path)
    assert answer.code == 2
    assert "pip install 'embfact[search]'" in answer.err


def test_optuna_is_not_imported_where_nothing_is_tuned(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from embfact.cli.train import main; "
        f"main(Path({str(TRAIN.parent / 'conf')!r}), ['plan=true', 'factorization=svd,none', '-m']); "
        "sys.exit('optuna' in sys.modules or 'sqlalchemy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False).returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize(("signum", "code"), [(signal.SIGKILL, -9), (signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_search_that_is_stopped_goes_on_to_the_same_end(
    searched: Searched, tiny: list[str], tmp_path: Path, signum: signal.Signals, code: int
) -> None:
    command = [sys.executable, TRAIN, *SEARCH, *tiny, *SMALL, "output_dir=runs"]
    database = tmp_path / "runs" / "search.db"

    def running() -> bool:
        """Whether a trial is on its way after at least four that are not."""
        try:
            states = [state for study in trials(database).values() for state in study]
        except sqlite3.Error:
            return False
        return len(states) > 4 and states[-1] == "RUNNING"

    process = subprocess.Popen(command, cwd=tmp_path, env=os.environ, stdout=subprocess.DEVNULL)
    while process.poll() is None and not running():
        time.sleep(0.02)
    time.sleep(0.2)
    sent = time.monotonic()
    process.send_signal(signum)
    assert process.wait() == code
    assert time.monotonic() - sent < 5
    subprocess.run(command, cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)
    again = Searched(tmp_path, "", searched.command)
    assert again.rates() == searched.rates()
    for path in tmp_path.glob("runs/vader-*/"):
        same = searched.folder / "runs" / path.name
        assert (path / "predictions.parquet").read_bytes() == (same / "predictions.parquet").read_bytes()
    assert not list(tmp_path.rglob("*.lock"))
    # Those that were on their way are marked, and came on top of the number asked for.
    ended = [[state for state in study if state != "FAIL"] for study in trials(database).values()]
    assert [len(study) for study in ended] == [3, 3]
