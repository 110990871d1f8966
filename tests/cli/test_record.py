"""The record of a run says what happened: each figure is recomputed here from the files, with other libraries."""

from __future__ import annotations

import csv
import hashlib
import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from safetensors import safe_open
from scipy import stats
from sklearn import metrics as reference

from embfact.config.run_config import RunConfig
from embfact.data.text import load_text
from embfact.runs.identity import identify
from embfact.runs.record import RunRecord, read

GOOD, BAD = ["fine", "witty", "lovely", "bright"], ["dull", "awful", "stale", "boring"]
V, H, RANK = 30522, 128, 8
COMMON = ["model=bert_scratch", "data=files", "trainer=cpu", "logger=none", "output_dir=runs", f"rank={RANK}"]
FAST = ["trainer.batch_size=16", "data.selection_size=0", "checkpoint=last"]


@dataclass(frozen=True)
class Run:
    """A finished run, and the rows that it was given."""

    directory: Path
    record: RunRecord
    train: list[dict[str, str]]
    validation: list[dict[str, str]]

    @property
    def predictions(self) -> dict[str, np.ndarray]:
        """Columns of predictions.parquet; ``logits`` has the shape (rows, outputs)."""
        table = pq.read_table(self.directory / "predictions.parquet")
        return {name: np.array(table[name].to_pylist()) for name in table.column_names}

    @property
    def reported(self) -> dict[str, float | None]:
        return self.record.metrics["validation"]


def rows(count: int, seed: int, label: Callable[[float, random.Random], Any], *also: str) -> list[dict[str, str]]:
    """Sentences of praising and scolding words; the label is made of the share of praise."""
    draw, made = random.Random(seed), []
    for _ in range(count):
        praise = draw.randint(0, 4)
        words = draw.choices(GOOD, k=praise) + draw.choices(BAD, k=4 - praise)
        draw.shuffle(words)
        made.append({"text": " ".join(["the film is", *words, *also]), "label": str(label(praise / 4, draw))})
    return made


@pytest.fixture(scope="module")
def run(train: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Run]:
    """Trains on rows, reports on others, and reads what was written."""

    def do(learn: list[dict[str, str]], report: list[dict[str, str]], *words: str) -> Run:
        folder = tmp_path_factory.mktemp("record")
        for name, content in (("train", learn), ("validation", report)):
            with (folder / f"{name}.csv").open("w", newline="") as file:
                writer = csv.DictWriter(file, ["text", "label"])
                writer.writeheader()
                writer.writerows(content)
        files = [f"data.{name}_file={folder}/{name}.csv" for name in ("train", "validation")]
        answer = train(*COMMON, *files, *words, cwd=folder)
        assert answer.code == 0, answer
        (directory,) = folder.glob("runs/*/")
        return Run(directory, read(directory), learn, report)

    return do


@pytest.fixture(scope="module")
def seen() -> list[Any]:
    """What the data-aware method was given to look at."""
    return []


@pytest.fixture(scope="module")
def classified(run: Callable[..., Run], seen: list[Any]) -> Run:
    """A classification that learns something, and gets some rows wrong."""
    from embfact import evidence

    collect = evidence.collect

    def spy(*args: Any) -> Any:
        seen.append(collect(*args))
        return seen[-1]

    def noisy(praise: float, draw: random.Random) -> str:
        return "pos" if draw.random() < 0.1 + 0.8 * praise else "neg"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evidence, "collect", spy)
        return run(
            rows(160, 0, noisy),
            rows(75, 1, noisy, "zebra"),
            *("factorization=weighted_svd", "data.metrics=[accuracy,f1,matthews]", "data.selection_size=32"),
            *("optimizer.lr=2e-3", "trainer.epochs=6", "trainer.batch_size=16", "trainer.eval_batch_size=20"),
        )


@pytest.fixture(scope="module")
def regressed(run: Callable[..., Run]) -> Run:
    def target(praise: float, draw: random.Random) -> float:
        return round(5 * praise + draw.gauss(0, 0.5), 2)

    return run(
        rows(128, 2, target),
        rows(51, 3, target),
        *("factorization=svd", "data.target=float", "data.metrics=[pearson,spearman]"),
        *("optimizer.lr=2e-3", "trainer.epochs=3", *FAST),
    )


@pytest.fixture(scope="module")
def constant(run: Callable[..., Run]) -> Run:
    """Nearly all training rows are of class 1, so every prediction is; the reported rows are of both classes."""
    learn = rows(64, 4, lambda praise, draw: 1)
    learn[5]["label"] = "0"
    return run(
        learn,
        rows(30, 5, lambda praise, draw: int(praise > 0.5)),
        *("factorization=none", "data.metrics=[matthews,f1,accuracy]"),
        *("optimizer.lr=1e-2", "trainer.epochs=2", *FAST),
    )


@pytest.fixture(params=["classified", "regressed", "constant"])
def any_run(request: pytest.FixtureRequest) -> Run:
    """Each of the three runs in turn."""
    return request.getfixturevalue(request.param)


def test_the_hash_is_that_of_what_decides_the_result(any_run: Run) -> None:
    record = json.loads((any_run.directory / "record.json").read_text())
    digest = hashlib.sha256(json.dumps(record["science"], sort_keys=True).encode()).hexdigest()
    assert record["hash"] == digest
    assert any_run.directory.name.endswith(f"-{digest[:8]}")
    assert record["schema_version"] == 1


def test_the_hash_holds_no_path_of_this_machine(any_run: Run) -> None:
    assert str(any_run.directory.parents[2]) not in json.dumps(any_run.record.science)


def test_the_configuration_is_kept_and_can_be_read_again(any_run: Run) -> None:
    kept = yaml.safe_load((any_run.directory / "config.yaml").read_text())
    assert kept == any_run.record.config
    assert identify(RunConfig.parse(kept)).hash == any_run.record.hash


def test_sizes_are_those_of_the_tensors_in_the_saved_file(any_run: Run) -> None:
    with safe_open(any_run.directory / "checkpoint" / "model.safetensors", framework="numpy") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no dictionary)
    size = any_run.record.size
    assert size.model.bytes == sum(tensor.nbytes for tensor in tensors.values())
    assert size.model.parameters == sum(tensor.size for tensor in tensors.values() if tensor.dtype.kind == "f")
    table = [tensor for name, tensor in tensors.items() if ".word_embeddings." in name]
    assert size.embedding.bytes == sum(tensor.nbytes for tensor in table)
    assert size.embedding.parameters == sum(tensor.size for tensor in table)


def test_sizes_follow_from_the_shapes(any_run: Run) -> None:
    size = any_run.record.size
    factorized = any_run.record.method.name != "none"
    assert size.embedding.parameters == (RANK * (V + H) if factorized else V * H)
    assert size.dense.embedding.parameters == V * H
    assert size.dense.model.parameters - size.model.parameters == V * H - size.embedding.parameters
    assert size.embedding.bytes == 4 * size.embedding.parameters


def test_every_reported_row_is_predicted_once_under_its_own_label(any_run: Run) -> None:
    found = any_run.predictions
    assert set(found["split"]) == {"validation"}
    assert found["id"].tolist() == list(range(len(any_run.validation)))
    labels = [row["label"] for row in any_run.validation]
    codes = {"neg": 0, "pos": 1}
    assert found["label"].tolist() == [codes[label] if label in codes else float(label) for label in labels]
    assert np.isfinite(found["logits"]).all()


def test_the_record_counts_the_rows(any_run: Run) -> None:
    counted = any_run.record.data.rows
    assert counted["validation"] == len(any_run.validation)
    assert counted["train"] + counted.get("selection", 0) == len(any_run.train)


def test_phases_add_up_and_steps_are_counted(any_run: Run) -> None:
    seconds, record = any_run.record.seconds.model_dump(), any_run.record
    total = seconds.pop("total")
    assert all(value > 0 for value in seconds.values())
    assert sum(seconds.values()) <= total + 1e-3
    batches = -(-record.data.rows["train"] // 16)
    assert record.training.epochs == record.config["trainer"]["epochs"]
    assert record.training.steps == batches * record.config["trainer"]["epochs"]
    assert record.peak_memory_bytes > 4 * V * H


def test_metrics_of_a_classification_are_those_of_scikit_learn(classified: Run) -> None:
    found = classified.predictions
    labels, guesses = found["label"], found["logits"].argmax(axis=1)
    assert classified.reported == pytest.approx(
        {
            "accuracy": reference.accuracy_score(labels, guesses),
            "f1": reference.f1_score(labels, guesses),
            "matthews": reference.matthews_corrcoef(labels, guesses),
        },
        abs=1e-6,
    )
    # So that the comparison above could fail.
    assert 0.6 < classified.reported["accuracy"] < 1
    assert len(set(guesses)) == 2


def test_metrics_of_a_regression_are_those_of_scipy(regressed: Run) -> None:
    found = regressed.predictions
    labels, values = found["label"], found["logits"][:, 0].astype(np.float64)
    assert found["logits"].shape == (51, 1)
    assert regressed.reported == pytest.approx(
        {
            "pearson": stats.pearsonr(values, labels).statistic,
            "spearman": stats.spearmanr(values, labels).statistic,
        },
        abs=1e-5,
    )
    assert 0.3 < regressed.reported["pearson"] < 1


def test_a_constant_prediction_has_no_correlation_with_the_classes(constant: Run) -> None:
    found = constant.predictions
    guesses = found["logits"].argmax(axis=1)
    assert set(guesses) == {1}
    assert set(found["label"]) == {0, 1}
    assert constant.reported == pytest.approx(
        {
            "matthews": reference.matthews_corrcoef(found["label"], guesses),
            "f1": reference.f1_score(found["label"], guesses),
            "accuracy": reference.accuracy_score(found["label"], guesses),
        },
        abs=1e-6,
    )
    assert constant.reported["matthews"] == 0


def test_the_best_epoch_of_the_held_out_rows_is_reported(classified: Run) -> None:
    selection = classified.record.selection
    assert selection.rows == 32
    assert [entry["epoch"] for entry in selection.history] == list(range(6))
    values = [entry["loss"] for entry in selection.history]
    assert (selection.metric, selection.value) == ("loss", min(values))
    assert selection.best_epoch == values.index(min(values))


def test_without_held_out_rows_nothing_is_selected(regressed: Run) -> None:
    assert regressed.record.selection is None
    assert "selection" not in regressed.record.data.rows


def test_token_counts_come_from_the_rows_trained_on_alone(classified: Run, seen: list[Any]) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(classified.directory / "checkpoint")
    data = RunConfig.parse(classified.record.config).data
    text = load_text(data, None)
    expected = Counter(token for row in text.train["text"].to_pylist() for token in tokenizer(row)["input_ids"])
    (evidence,) = seen
    counts = evidence.token_counts.numpy()
    assert counts.shape == (V,)
    assert {token: int(count) for token, count in enumerate(counts) if count} == expected
    # A word of the reported rows alone, and the words that the held-out rows would have added.
    assert counts[tokenizer.convert_tokens_to_ids("zebra")] == 0
    held_out = sum(len(tokenizer(row)["input_ids"]) for row in text.selection["text"].to_pylist())
    assert held_out > 0
    everything = sum(len(tokenizer(row["text"])["input_ids"]) for row in classified.train)
    assert counts.sum() == everything - held_out


def test_reported_metrics_come_from_the_weights_as_saved(classified: Run) -> None:
    import torch

    from embfact.models.checkpoint import load

    model, tokenizer = load(classified.directory / "checkpoint")
    batch = tokenizer([row["text"] for row in classified.validation], padding=True, return_tensors="pt")
    with torch.no_grad():
        logits = model(**batch).logits.numpy()
    np.testing.assert_allclose(logits, classified.predictions["logits"], atol=1e-5)
