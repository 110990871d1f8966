"""A sweep trains each run once, adds its baseline, goes on after a failure, and repeats to the last bit."""

from __future__ import annotations

import re
import shutil
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from embfact.runs.planned import Outcome
from embfact.runs.record import RunRecord, read
from embfact.system.signals import Interrupted

SWEEP = ["factorization=svd,none", "rank=8", "seed=0,1", "-m"]
ORDER = ["none-s0", "none-s1", "svd-r8-s0", "svd-r8-s1"]


@dataclass(frozen=True)
class Swept:
    """A finished sweep: where it ran, what it said, and how to go on with it."""

    folder: Path
    out: str
    command: Callable[..., Any]

    @property
    def runs(self) -> dict[str, Path]:
        """Run directories by method, rank and seed, e.g. ``svd-r8-s0``."""
        paths = sorted(self.folder.glob("runs/*/"))
        return {re.sub(r"^vader-bert-scratch-|-[0-9a-f]{8}$", "", path.name): path for path in paths}

    def times(self) -> dict[str, int]:
        """When each record was written, in nanoseconds."""
        return {name: (path / "record.json").stat().st_mtime_ns for name, path in self.runs.items()}


@pytest.fixture(scope="module")
def swept(train: Any, tiny: list[str], tmp_path_factory: pytest.TempPathFactory) -> Swept:
    """A sweep of four runs that every test may read; those that change it put it back."""
    folder = tmp_path_factory.mktemp("sweep")

    def command(*words: str) -> Any:
        return train(*tiny, "output_dir=runs", *words, cwd=folder)

    answer = command(*SWEEP)
    assert (answer.code, answer.err) == (0, "")
    return Swept(folder, answer.out, command)


def order_of(out: str) -> list[str]:
    return re.findall(r"^(?:\[\d/\d\] )?vader-bert-scratch-(\S+)-[0-9a-f]{8} ", out, re.M)


def table_of(out: str) -> list[str]:
    return [line for line in out.splitlines() if line.startswith("| ")]


def test_the_dense_baseline_is_added_once_a_seed_and_runs_first(swept: Swept) -> None:
    assert order_of(swept.out) == ORDER
    assert re.findall(r"^\[(\d/\d)\]", swept.out, re.M) == ["1/4", "2/4", "3/4", "4/4"]
    assert sorted(swept.runs) == ORDER


def test_the_table_has_the_dense_row_and_a_mean_over_seeds(swept: Swept) -> None:
    header, _, dense, svd = table_of(swept.out)
    assert [cell.strip() for cell in header.split("|")][1:3] == ["method", "rank"]
    assert "vader accuracy" in header
    assert dense.startswith("| none ")
    assert "100.0%" in dense
    assert re.match(r"\| svd +\| +8 \|", svd)
    values = [read(swept.runs[f"svd-r8-s{seed}"]).metrics["test"]["accuracy"] for seed in (0, 1)]
    assert f" {50 * sum(values):.1f} ± " in svd
    assert f"wrote {Path('runs')}" in swept.out


def test_each_record_is_that_of_its_run(swept: Swept) -> None:
    for name, path in swept.runs.items():
        record = read(path)
        assert record.status == "finished"
        assert record.name == path.name
        assert name == "-".join(
            [record.method.name, *([f"r{record.method.rank}"] if record.method.rank else []), f"s{record.seed}"]
        )


def test_the_same_sweep_again_trains_nothing(swept: Swept) -> None:
    before = swept.times()
    answer = swept.command(*SWEEP)
    assert answer.code == 0
    assert "4 of 4 runs are already finished" in answer.out
    assert order_of(answer.out) == []
    assert table_of(answer.out) == table_of(swept.out)
    assert swept.times() == before


def test_a_larger_sweep_trains_only_what_is_new(swept: Swept) -> None:
    answer = swept.command("factorization=svd,none", "rank=8,16", "seed=0,1", "-m", "plan=true")
    states = dict(re.findall(r"^vader-bert-scratch-(\S+)-[0-9a-f]{8} +(finished|to do)$", answer.out, re.M))
    assert states == dict.fromkeys(ORDER, "finished") | {"svd-r16-s0": "to do", "svd-r16-s1": "to do"}


def test_after_one_run_is_deleted_only_that_one_is_trained_to_the_same_figures(swept: Swept) -> None:
    before, run = swept.times(), swept.runs["svd-r8-s1"]
    record, predictions = read(run), (run / "predictions.parquet").read_bytes()
    shutil.rmtree(run)
    answer = swept.command(*SWEEP)
    assert answer.code == 0
    assert order_of(answer.out) == ["svd-r8-s1"]
    assert "3 of 4 runs are already finished" in answer.out
    without_seconds = [[row.rsplit("|", 2)[0] for row in table_of(out)] for out in (answer.out, swept.out)]
    assert without_seconds[0] == without_seconds[1]
    assert {name for name, time in swept.times().items() if time != before[name]} == {"svd-r8-s1"}
    again = read(run)
    assert (again.metrics, again.selection, again.size) == (record.metrics, record.selection, record.size)
    assert (run / "predictions.parquet").read_bytes() == predictions


def test_a_damaged_record_is_no_finished_run(swept: Swept) -> None:
    path = swept.runs["svd-r8-s0"] / "record.json"
    text = path.read_text()
    path.write_text(text[: len(text) // 2])
    try:
        answer = swept.command(*SWEEP, "plan=true")
    finally:
        path.write_text(text)
    assert re.search(r"svd-r8-s0-\w+ +to do", answer.out)
    assert "4 runs, 3 finished, 1 to do" in answer.out


def test_force_trains_again_to_the_same_bits_and_another_seed_does_not(swept: Swept) -> None:
    run = swept.runs["svd-r8-s0"]
    before, predictions = swept.times(), (run / "predictions.parquet").read_bytes()
    answer = swept.command("factorization=svd", "rank=8", "seed=0", "force=true")
    assert answer.code == 0
    assert {name for name, time in swept.times().items() if time != before[name]} == {"svd-r8-s0"}
    assert (run / "predictions.parquet").read_bytes() == predictions
    assert (swept.runs["svd-r8-s1"] / "predictions.parquet").read_bytes() != predictions


def test_a_plan_prints_and_writes_nothing(swept: Swept, files_below: Any) -> None:
    before = files_below(swept.folder)
    answer = swept.command("factorization=svd,random", "rank=8", "seed=0", "-m", "plan=true")
    assert (answer.code, answer.err) == (0, "")
    assert re.findall(r"-(none-s0|svd-r8-s0|random-r8-s0)-\w+ +(\w+)", answer.out) == [
        ("none-s0", "finished"),
        ("svd-r8-s0", "finished"),
        ("random-r8-s0", "to"),
    ]
    assert re.search(r"3 runs, 2 finished, 1 to do: about \d+ s", answer.out)
    assert files_below(swept.folder) == before


def test_what_decides_nothing_makes_no_new_run(swept: Swept) -> None:
    words = [
        "tags=[again]",
        "trainer.eval_batch_size=16",
        "logger.project=other",
        "data.note=hello",
        "experiment_name=x",
    ]
    answer = swept.command(*SWEEP, *words, "plan=true")
    assert "4 runs, 4 finished" in answer.out


@pytest.mark.parametrize("word", ["optimizer.lr=2e-4", "data.split_seed=1", "task.dropout=0.2", "checkpoint=last"])
def test_what_decides_a_result_makes_a_new_run(swept: Swept, word: str) -> None:
    assert "4 runs, 0 finished" in swept.command(*SWEEP, word, "plan=true").out


def test_a_baseline_can_be_left_out(swept: Swept) -> None:
    plan = swept.command("factorization=svd", "rank=8", "seed=0,1", "-m", "plan=true", "baseline=false").out
    assert "none" not in plan
    assert "2 runs, 2 finished" in plan


def test_a_single_run_prints_one_line_and_no_table(swept: Swept) -> None:
    answer = swept.command("factorization=svd", "rank=8", "seed=0")
    assert answer.code == 0
    assert table_of(answer.out) == []
    assert f"wrote {Path('runs') / swept.runs['svd-r8-s0'].name}" in answer.out


def test_a_table_that_is_stored_smaller_is_a_row_of_its_own(swept: Swept) -> None:
    words = ["factorization=svd", "rank=8", "seed=0", "storage=float32,int8", "baseline=false"]
    answer = swept.command(*words, "quantization=post_training", "-m", "output_dir=stored")
    assert answer.code == 0
    _, _, plain, stored = ([cell.strip() for cell in row.split("|")[1:]] for row in table_of(answer.out))
    assert (plain[:2], stored[:2]) == (["svd", "8"], ["svd int8-g64", "8"])
    assert plain[2] == stored[2]  # parameters
    sizes = {record.method.storage: record.size.embedding for record in map(read, swept.folder.glob("stored/*/"))}
    # A byte for each number of the factors, and three for each of their groups, one a row of 8 and two a row of 128;
    # then four bytes for each number.
    assert sizes["int8"].bytes == 8 * (30522 + 128) + 3 * (30522 + 8 * 2)
    assert sizes["float32"].bytes == 4 * 8 * (30522 + 128)


def test_weights_are_kept_as_asked_and_a_run_without_them_is_not_enough_for_one_that_wants_them(swept: Swept) -> None:
    words = ["factorization=random", "rank=4", "seed=0", "output_dir=weights"]

    def run() -> Path:
        (path,) = swept.folder.glob("weights/*/")
        return path

    assert swept.command(*words, "checkpoint=none").code == 0
    assert not (run() / "checkpoint").exists()
    assert "1 to do" in swept.command(*words, "checkpoint=last", "plan=true").out
    predictions = (run() / "predictions.parquet").read_bytes()

    assert swept.command(*words, "checkpoint=last").code == 0
    assert {"model.safetensors", "config.json", "tokenizer.json"} <= {p.name for p in run().glob("checkpoint/*")}
    assert (run() / "predictions.parquet").read_bytes() == predictions
    assert read(run()).selection.best_epoch is None
    assert "1 finished" in swept.command(*words, "checkpoint=none", "plan=true").out


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A folder with a space in its name, a good file and one that is broken in the middle."""
    folder = tmp_path / "my data"
    folder.mkdir()
    rows = [f"a {'fine' if row % 2 else 'dull'} film number {row},{row % 2}" for row in range(40)]
    (folder / "valid.csv").write_text("\n".join(["text,label", *rows[::2], *rows[1::2]]) + "\n")
    (folder / "good.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    (folder / "broken.csv").write_text("\n".join(["text,label", *rows[:20], ",1", *rows[20:]]) + "\n")
    return folder


def test_a_run_that_fails_does_so_alone(train: Any, tiny: list[str], broken: Path) -> None:
    words = ["data=files", f"data.validation_file='{broken}/valid.csv'", "factorization=none", "output_dir=runs"]
    small = ["data.train_size=16", "data.eval_size=16", "data.selection_size=8"]
    files = f"data.train_file='{broken}/broken.csv','{broken}/good.csv'"
    answer = train(*tiny, *words, *small, files, "-m", cwd=broken.parent)
    assert answer.code == 1
    records: dict[str, RunRecord] = {r.status: r for r in map(read, broken.parent.glob("runs/*/"))}
    assert sorted(records) == ["failed", "finished"]
    failed, finished = records["failed"], records["finished"]
    assert "broken.csv, line 22" in failed.error.message
    assert answer.err.startswith(f"failed: {failed.name}: {failed.error.message} (traceback in ")
    assert f"[1/2] {failed.name}  FAILED" in answer.out
    assert (answer.out + answer.err).count(failed.error.message) == 1
    assert f"[2/2] {finished.name}  accuracy " in answer.out
    assert "Traceback" not in answer.out + answer.err
    log = (broken.parent / "runs" / failed.name / "log.txt").read_text()
    assert "Traceback (most recent call last)" in log
    assert "broken.csv, line 22" in log
    assert not (broken.parent / "runs" / failed.name / "checkpoint").exists()

    again = train(*tiny, *words, *small, files, "-m", "plan=true", cwd=broken.parent)
    assert "2 runs, 1 finished, 1 to do" in again.out


def test_json_lines_that_no_column_can_hold_are_told_with_file_and_line(
    train: Any, tiny: list[str], tmp_path: Path
) -> None:
    odd = {"half": r'"hi \ud83d"', "mixed": '{"a": "x"}', "deep": "[" * 10**5}
    for name, value in {**odd, "valid": '"a film"'}.items():
        rows = [f'{{"text": "a film {row}", "label": {row % 2}}}' for row in range(4)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join([*rows, f'{{"label": 1, "text": {value}}}']) + "\n")
    files = ["data=files", f"data.train_file={','.join(f'{name}.jsonl' for name in odd)}"]
    words = ["data.validation_file=valid.jsonl", "data.selection_size=1", "data.train_size=null", "data.eval_size=null"]
    answer = train(*tiny, *files, *words, "factorization=none", "output_dir=runs", "-m", cwd=tmp_path)
    assert answer.code == 1
    lines = answer.err.splitlines()
    assert len(lines) == len(odd)
    assert all(any(f"{name}.jsonl, line 5" in line for line in lines) for name in odd), answer.err
    assert "Traceback (most" not in answer.out + answer.err


def test_data_that_is_not_there_leaves_the_other_runs_alone(swept: Swept) -> None:
    answer = swept.command("data=sst2,vader", "factorization=svd", "rank=8", "seed=0", "-m")
    assert answer.code == 1
    (line,) = answer.err.splitlines()
    assert line.startswith("2 runs cannot start: 2 x ")
    assert line.endswith("(sst2 bert-scratch none s0, sst2 bert-scratch svd r8 s0)")
    assert line.count("EMBFACT_DATA_DIR") == 1
    assert len(table_of(answer.out)) == 4


def test_nothing_is_said_to_be_written_where_nothing_could_start(train: Any, tiny: list[str], tmp_path: Path) -> None:
    answer = train(*tiny, "data=sst2", "output_dir=runs", "seed=0,1", "-m", cwd=tmp_path)
    assert answer.code == 1
    assert "wrote" not in answer.out
    assert "EMBFACT_DATA_DIR" in answer.err
    assert list(tmp_path.iterdir()) == []


def test_what_failed_before_a_sweep_was_interrupted_is_told(
    train: Any, tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def launch(conf: Path, request: Any, sweep: Any) -> None:
        sweep.report(0, Outcome("failed", "out of memory"))
        raise Interrupted(signal.SIGTERM)

    monkeypatch.setattr("embfact.cli.train.launch", launch)
    answer = train(*tiny, "factorization=svd", "rank=8", "output_dir=runs", "-m", cwd=tmp_path)
    assert answer.code == 143
    assert "[1/2] vader-bert-scratch-none-s0-" in answer.out
    assert (answer.out + answer.err).count("out of memory") == 1
    assert "not run" not in answer.err, "the others are not failures"
