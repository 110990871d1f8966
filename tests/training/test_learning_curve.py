"""The learning curve of an interrupted training is one curve, and a loss that is no number ends a training."""

from __future__ import annotations

import csv
import json
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from embfact.errors import DivergedError
from embfact.training.learning_curve import EVERY, FILE_NAME, Divergence, LearningCurve

HEADER = [
    "epoch",
    "step",
    "train/loss",
    "optimizer/lr",
    "optimizer/embedding_lr",
    "selection/accuracy",
    "selection/loss",
]


def outputs(loss: float) -> dict[str, Any]:
    """What a step gives its callbacks; the loss that the optimizer sees is another one."""
    return {"loss": torch.tensor(9.0), "logged": {"train/loss": torch.tensor(loss), "optimizer/lr": 0.5}}


class Training:
    """What the callbacks see of a training, step by step."""

    def __init__(self) -> None:
        self.accumulating = False
        loop = SimpleNamespace(_should_accumulate=lambda: self.accumulating)
        self.trainer: Any = SimpleNamespace(global_step=0, current_epoch=0, fit_loop=loop)
        self.module: Any = SimpleNamespace(metrics={"accuracy": None}, history=[])

    def step(self, *callbacks: Any, loss: float, steps: int = 1) -> None:
        for _ in range(steps):
            self.trainer.global_step += 1
            for callback in callbacks:
                callback.on_train_batch_end(
                    self.trainer,
                    self.module,
                    {"logged": {"train/loss": torch.tensor(loss), "optimizer/lr": 0.5}},
                    None,
                    0,
                )

    def epoch(self, curve: LearningCurve, **values: float) -> None:
        self.module.history.append({"epoch": self.trainer.current_epoch, **values})
        curve.on_validation_end(self.trainer, self.module)
        self.trainer.current_epoch += 1


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / FILE_NAME).open(newline="") as file:
        return [{key: value for key, value in row.items() if value} for row in csv.DictReader(file)]


def test_losses_and_held_out_metrics_are_written_as_they_come(tmp_path: Path) -> None:
    training, curve = Training(), LearningCurve(tmp_path)
    curve.on_train_start(training.trainer, training.module)
    assert (tmp_path / FILE_NAME).read_text() == ",".join(HEADER) + "\n"
    training.step(curve, loss=0.5, steps=EVERY - 1)
    assert rows(tmp_path) == []
    training.step(curve, loss=0.25)
    assert rows(tmp_path) == [{"epoch": "0", "step": "10", "train/loss": "0.25", "optimizer/lr": "0.5"}]
    training.step(curve, loss=0.5, steps=3)
    training.epoch(curve, accuracy=0.75, loss=0.125)
    assert rows(tmp_path)[1:] == [{"epoch": "0", "step": "13", "selection/accuracy": "0.75", "selection/loss": "0.125"}]


def test_of_a_step_of_several_batches_one_loss_is_written(tmp_path: Path) -> None:
    training, curve = Training(), LearningCurve(tmp_path)
    curve.on_train_start(training.trainer, training.module)
    training.step(curve, loss=0.25, steps=EVERY)
    training.accumulating = True
    curve.on_train_batch_end(
        training.trainer, training.module, {"logged": {"train/loss": torch.tensor(0.125)}}, None, 0
    )
    assert rows(tmp_path) == [{"epoch": "0", "step": "10", "train/loss": "0.25", "optimizer/lr": "0.5"}]


def course(curve: LearningCurve, training: Training, part: int) -> None:
    """One of two halves of a training."""
    training.step(curve, loss=1 / (3 + part), steps=15)
    training.epoch(curve, accuracy=0.1 + part / 7, loss=1 / 3)


def test_the_curve_of_an_interrupted_training_is_that_of_an_uninterrupted_one(tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for folder in (whole, parts):
        folder.mkdir()
    training, curve = Training(), LearningCurve(whole)
    curve.on_train_start(training.trainer, training.module)
    course(curve, training, 0)
    course(curve, training, 1)

    training, first = Training(), LearningCurve(parts)
    first.on_train_start(training.trainer, training.module)
    course(first, training, 0)
    # As a checkpoint keeps it, to the last bit.
    state = json.loads(json.dumps(first.state_dict()))
    step, epoch = training.trainer.global_step, training.trainer.current_epoch
    training.step(first, loss=9.0, steps=20)  # what comes after the checkpoint is done again
    with (parts / FILE_NAME).open("a") as file:
        file.write("2,4")  # and the process was killed while it wrote

    training, second = Training(), LearningCurve(parts)
    training.trainer.global_step, training.trainer.current_epoch = step, epoch
    second.load_state_dict(state)
    second.on_train_start(training.trainer, training.module)
    course(second, training, 1)
    assert (parts / FILE_NAME).read_bytes() == (whole / FILE_NAME).read_bytes()
    assert second.state_dict() == curve.state_dict()


def test_what_is_kept_does_not_change_with_the_curve_it_was_taken_from(tmp_path: Path) -> None:
    training, curve = Training(), LearningCurve(tmp_path)
    curve.on_train_start(training.trainer, training.module)
    course(curve, training, 0)
    other = LearningCurve(tmp_path)
    other.load_state_dict(curve.state_dict())
    before = len(curve.state_dict()["rows"])
    other.on_train_start(training.trainer, training.module)
    course(other, training, 1)
    assert len(curve.state_dict()["rows"]) == before


def test_a_curve_that_cannot_be_written_costs_no_training(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    training, curve = Training(), LearningCurve(tmp_path)
    curve.on_train_start(training.trainer, training.module)
    (tmp_path / FILE_NAME).unlink()
    (tmp_path / FILE_NAME).mkdir()
    with caplog.at_level(logging.WARNING):
        training.step(curve, loss=0.5, steps=EVERY)
    assert "the learning curve could not be written" in caplog.text
    # It is not lost: the next attempt writes it.
    assert curve.state_dict()["rows"] == [{"epoch": 0, "step": 10, "train/loss": 0.5, "optimizer/lr": 0.5}]


def test_only_one_process_of_a_training_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMBFACT_RANK", "1")
    training, curve = Training(), LearningCurve(tmp_path)
    curve.on_train_start(training.trainer, training.module)
    course(curve, training, 0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("loss", [float("nan"), float("inf"), -float("inf")])
def test_a_loss_that_is_no_number_ends_the_training_at_once(loss: float) -> None:
    training, divergence = Training(), Divergence(lr=0.5)
    training.step(divergence, loss=1e30, steps=6)
    with pytest.raises(DivergedError) as caught:
        training.step(divergence, loss=loss)
    assert f"the loss became {loss} at step 7; lower optimizer.lr (now 0.5)" in str(caught.value)
