"""``profile=true`` tells where the seconds went, and changes no result."""

from __future__ import annotations

import json
from collections.abc import Callable
from math import ceil
from pathlib import Path
from typing import Any

import pytest

from embfact.profiling import profile as profiling
from embfact.profiling.report import Activity

DESCRIPTIONS = ["rank=8", "trainer.max_steps=null", "trainer.epochs=2", "trainer.batch_size=20", "output_dir=runs"]


@pytest.fixture(scope="module")
def run(train: Any, tiny: list[str], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[str, Path]]:
    """Does a run, and gives what was printed and its directory."""

    def do(*words: str) -> tuple[str, Path]:
        folder = tmp_path_factory.mktemp("profile")
        answer = train(*tiny, *DESCRIPTIONS, *words, cwd=folder)
        assert answer.code == 0, answer
        (directory,) = folder.glob("runs/*/")
        return answer.out, directory

    return do


@pytest.fixture(scope="module")
def profiled(run: Callable[..., tuple[str, Path]]) -> tuple[str, Path]:
    return run("profile=true")


@pytest.fixture(scope="module")
def plain(run: Callable[..., tuple[str, Path]]) -> tuple[str, Path]:
    return run()


def kept(directory: Path) -> dict[str, Any]:
    return json.loads((directory / "profile.json").read_text())


def shares_in(text: str) -> dict[str, float]:
    """Share of each part, in percent, as printed."""
    rows = [line.split("|") for line in text.splitlines() if line.startswith("| ") and line.endswith("% |")]
    return {cells[1].strip(): float(cells[-2].strip(" %")) for cells in rows}


def test_the_table_is_printed_and_its_shares_make_a_whole(profiled: tuple[str, Path]) -> None:
    shares = shares_in(profiled[0])
    assert list(shares) == [*Activity, "total"]
    assert shares.pop("total") == 100
    assert sum(shares.values()) == pytest.approx(100, abs=0.05 * len(shares))
    assert "tokens per second" in profiled[0]
    assert "Model FLOP utilisation" in profiled[0]


def test_the_file_holds_seconds_shares_and_counts(profiled: tuple[str, Path]) -> None:
    content, record = kept(profiled[1]), json.loads((profiled[1] / "record.json").read_text())
    assert content["schema_version"] == 1
    assert content["name"] == profiled[1].name
    seconds = content["seconds"]
    assert seconds.keys() == {*Activity, "total"}
    assert sum(seconds[part] for part in Activity) == pytest.approx(seconds["total"])
    assert sum(content["shares"].values()) == pytest.approx(1)
    for part in set(Activity) - {Activity.EVIDENCE, Activity.LOGGING}:  # svd looks at nothing, and nobody logs
        assert seconds[part] > 0, part
    # Of the same run, but for the profiling itself.
    assert seconds["total"] <= record["seconds"]["total"]
    assert seconds["evaluation"] <= record["seconds"]["evaluation"]  # in which a lookup was timed
    training = content["training"]
    assert training["count"] == record["training"]["steps"]
    assert training["rows"] == 2 * record["data"]["rows"]["train"]
    assert 0 < training["fewest"] <= training["mean_rows"] <= training["most"]
    assert training["mean_rows"] == pytest.approx(training["rows"] / training["count"])
    assert 0 < training["tokens"] <= training["cells"]
    assert training["tokens_per_second"] == pytest.approx(training["tokens"] / training["seconds"])
    reached = training["flops"] / training["seconds"]
    assert training["utilization"] == pytest.approx(reached / training["machine_flops"])
    assert training["product"] == "512 x 384 x 1536 float32"


def test_nothing_is_printed_or_kept_unless_asked_for(plain: tuple[str, Path]) -> None:
    assert not shares_in(plain[0])
    assert not (plain[1] / "profile.json").exists()


def test_it_is_the_same_run_to_the_last_bit(profiled: tuple[str, Path], plain: tuple[str, Path]) -> None:
    assert profiled[1].name == plain[1].name
    for name in ("predictions.parquet", "checkpoint/model.safetensors", "metrics.csv"):
        assert (profiled[1] / name).read_bytes() == (plain[1] / name).read_bytes(), name


def test_a_sweep_tells_it_of_every_run(train: Any, tiny: list[str], tmp_path: Path) -> None:
    words = [*tiny, "output_dir=runs", "rank=4,8", "baseline=false", "profile=true"]
    answer = train(*words, "-m", cwd=tmp_path)
    assert answer.code == 0, answer
    assert answer.out.count("Model FLOP utilisation") == 2
    assert len(list(tmp_path.glob("runs/*/profile.json"))) == 2
    again = train(*words, "-m", cwd=tmp_path)
    assert "Model FLOP utilisation" not in again.out
    assert "2 of 2 runs are already finished; add force=true to train and profile them again" in again.out


def test_workers_leave_the_terminal_to_the_command(train: Any, tiny: list[str], tmp_path: Path) -> None:
    words = ["output_dir=runs", "rank=8", "baseline=false", "profile=true", "hydra/launcher=parallel", "-m"]
    answer = train(*tiny, *words, cwd=tmp_path)
    assert answer.code == 0, answer
    assert list(shares_in(answer.out)) == [*Activity, "total"]


def test_accumulated_batches_are_one_step(run: Callable[..., tuple[str, Path]]) -> None:
    _, directory = run("profile=true", "trainer.accumulate=2", "trainer.epochs=1")
    training = kept(directory)["training"]
    assert training["count"] == ceil(ceil(training["rows"] / 20) / 2)
    assert training["most"] > 20


def test_a_table_that_is_projected_in_the_training_is_factorization(run: Callable[..., tuple[str, Path]]) -> None:
    _, directory = run("profile=true", "refactorize=every_epoch", "refactorize.until=1")
    assert kept(directory)["seconds"]["factorization"] > 0.01


def test_a_model_that_cannot_be_counted_costs_the_figure_alone(
    run: Callable[..., tuple[str, Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise TypeError("no such row")

    monkeypatch.setattr(profiling, "row_flops", refuse)
    out, directory = run("profile=true", "seed=1")
    assert "tokens per second" in out
    assert "utilisation" not in out
    assert kept(directory)["training"]["utilization"] is None
    assert "the operations of the model could not be counted: no such row" in (directory / "log.txt").read_text()
