"""Every pooling trains through train.py: classes and targets, single texts and pairs; a record is as before without."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest

from embfact.config.sections import Pooling
from embfact.results.collect import find_records
from embfact.runs.record import RunRecord

SMALL = ["model.architecture.hidden_size=32", "model.architecture.intermediate_size=32"]
SMALL += ["model.architecture.num_hidden_layers=1", "trainer.max_steps=1", "trainer.threads=1", "trainer=cpu"]
FILES = ["data=files", "data.train_file=train.csv", "data.validation_file=valid.csv", "data.selection_size=8"]
ROWS = ["data.train_size=32", "data.eval_size=16"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pooling")
    for name, word in (("train", "film"), ("valid", "play")):
        rows = [f"a {'fine' if row % 2 else 'dull'} {word} {row},take {row},{row % 2},{row / 40}" for row in range(40)]
        (folder / f"{name}.csv").write_text("\n".join(["text,second,label,grade", *rows]) + "\n")
    return folder


@pytest.fixture(scope="module")
def command(train: Any, tiny: list[str], small_tokenizer: Path, folder: Path) -> Any:
    words = [*tiny, f"model.tokenizer={small_tokenizer}", *FILES, *SMALL, *ROWS]
    return lambda *more: train(*words, *more, cwd=folder)


def records(folder: Path) -> list[RunRecord]:
    return list(find_records([folder]).records)


def test_each_has_a_run_of_its_own_on_pairs_and_a_gradient_method_sees_it(command: Any, folder: Path) -> None:
    kinds = ["null", *get_args(Pooling)]
    words = ["data.text=[text,second]", "factorization=fisher_svd", "rank=4", "evidence.rows=16"]
    answer = command(*words, f"task.pooling={','.join(kinds)}", "baseline=false", "output_dir=pairs", "-m")
    assert (answer.code, answer.err) == (0, "")
    found = records(folder / "pairs")
    assert len({record.hash for record in found}) == len(kinds)
    assert {record.science["task"].get("pooling", "null") for record in found} == set(kinds)
    assert {record.status for record in found} == {"finished"}
    log = "".join(path.read_text() for path in (folder / "pairs").glob("*/log.txt"))
    assert log.count("gradient moments of 16 rows taken") == len(kinds)


def test_a_regression_pools_too_and_its_record_names_what_it_has_to_beat(command: Any, folder: Path) -> None:
    words = ["data.label=grade", "data.target=float", "data.metrics=[pearson,spearman]", "factorization=none"]
    answer = command(*words, "task.pooling=mean", "output_dir=regression")
    assert (answer.code, answer.err) == (0, "")
    (record,) = records(folder / "regression")
    assert record.baselines.keys() == record.metrics.keys() == {"validation"}
    assert record.baselines["validation"]["majority"] == {"pearson": None, "spearman": None}
    assert -1 <= record.baselines["validation"]["bag_of_tokens"]["pearson"] <= 1


def test_a_pooling_that_is_none_is_refused_before_anything_is_loaded(command: Any, folder: Path) -> None:
    answer = command("task.pooling=first", "output_dir=never")
    assert answer.code == 2
    assert "task.pooling" in answer.err
    assert "use one of: attention, cls, last, max, mean, weighted" in answer.err
    assert not (folder / "never").exists()
