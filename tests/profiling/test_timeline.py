"""Every second of a training is counted once, for the part that it belongs to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from pytorch_lightning.loggers import CSVLogger

from embfact.profiling.report import Activity
from embfact.profiling.timeline import ASIDE, EPOCH, Timeline


class Clock:
    """A clock that stands still between the ticks of a test."""

    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


class Played(Timeline):
    """A timeline that is played made-up actions."""

    def __init__(self) -> None:
        self.clock = Clock()
        super().__init__(self.clock)

    def tick(self, seconds: float) -> None:
        self.clock.time += seconds

    @contextmanager
    def within(self, action: str, before: float = 0.0, after: float = 0.0) -> Iterator[None]:
        """An action with time of its own before and after what is in the block."""
        with self.profile(action):
            self.tick(before)
            yield
            self.tick(after)

    def play(self, action: str, seconds: float) -> None:
        with self.within(action, seconds):
            pass

    @property
    def found(self) -> dict[Activity, float]:
        return {part: seconds for part, seconds in self.seconds.items() if seconds}


@pytest.fixture
def timeline() -> Played:
    return Played()


def test_the_own_time_of_an_action_is_without_that_of_those_within_it(timeline: Played) -> None:
    with timeline.within("fit", before=1, after=2), timeline.within(EPOCH, before=4):
        timeline.play("[_TrainingEpochLoop].train_dataloader_next", 8)
        timeline.play("[Strategy]SingleDeviceStrategy.batch_to_device", 16)
        with (
            timeline.within("run_training_batch"),
            timeline.within("[LightningModule]SequenceClassification.optimizer_step", before=32, after=64),
        ):
            timeline.play("[Strategy]SingleDeviceStrategy.training_step", 128)
            with timeline.within("[Strategy]SingleDeviceStrategy.backward", before=256):
                timeline.play("[Callback]_Bar.on_after_backward", 512)
            timeline.play("[LightningModule]SequenceClassification.configure_gradient_clipping", 1024)
        timeline.play("[Callback]LearningCurve.on_train_batch_end", 2048)
    assert timeline.found == {
        Activity.OTHER: 1 + 2 + 4,
        Activity.DATA: 8 + 16,
        Activity.OPTIMIZER: 32 + 64 + 1024,
        Activity.FORWARD: 128,
        Activity.BACKWARD: 256,
        Activity.LOGGING: 512 + 2048,
    }
    assert timeline.step_seconds == 4 + 8 + 16 + 32 + 64 + 128 + 256 + 512 + 1024 + 2048


def test_all_that_happens_while_held_out_rows_are_scored_belongs_to_that(timeline: Played) -> None:
    with timeline.within("fit"), timeline.within(EPOCH):
        timeline.play("[LightningModule]SequenceClassification.on_validation_model_zero_grad", 1)
        timeline.play("[LightningModule]SequenceClassification.on_validation_model_eval", 2)
        timeline.tick(4)
        timeline.play("[_EvaluationLoop].val_next", 8)
        timeline.play("[Strategy]SingleDeviceStrategy.batch_to_device", 16)
        timeline.play("log_metrics", 32)
        timeline.play("[Callback]Refactorization.on_validation_end", 64)
        timeline.play("[Callback]_Patience{'monitor': 'selection/f1', 'mode': 'max'}.on_validation_end", 128)
        timeline.play("[Strategy]SingleDeviceStrategy.on_validation_end", 256)
        timeline.tick(512)
    assert timeline.found == {Activity.HELD_OUT: 511, Activity.OTHER: 512}
    assert timeline.step_seconds == 512


def test_projections_are_factorization_and_no_step(timeline: Played) -> None:
    with timeline.within("fit"), timeline.within(EPOCH):
        timeline.play("[Callback]Refactorization.on_train_batch_end", 1)
    assert timeline.found == {Activity.FACTORIZATION: 1}
    assert timeline.step_seconds == 0


def test_profiling_itself_is_left_out(timeline: Played) -> None:
    timeline.play(ASIDE, 1)
    counting = timeline.within("[Callback]Throughput.on_train_batch_end", before=4)
    with timeline.within("fit"), timeline.within(EPOCH, before=2), counting:
        timeline.play("[Strategy]SingleDeviceStrategy.backward", 8)
    assert timeline.found == {Activity.OTHER: 2}
    assert timeline.left_out == 1 + 4 + 8


def test_time_outside_of_all_actions_is_nobodys(timeline: Played) -> None:
    timeline.play("fit", 1)
    timeline.tick(2)
    timeline.play("fit", 4)
    assert timeline.found == {Activity.OTHER: 5}


def test_an_action_that_fails_is_closed(timeline: Played) -> None:
    backward = timeline.within("[Strategy]SingleDeviceStrategy.backward", before=1)
    with pytest.raises(KeyError), timeline.within("fit"), backward:
        raise KeyError
    timeline.tick(2)
    timeline.play("fit", 4)
    assert timeline.found == {Activity.BACKWARD: 1, Activity.OTHER: 4}


def test_loggers_are_counted_and_afterwards_as_they_were(timeline: Played, tmp_path: Any) -> None:
    class Slow(CSVLogger):
        def log_metrics(self, metrics: Any, step: int | None = None) -> None:
            timeline.tick(3)

    logger = Slow(tmp_path)
    with timeline.within("fit"), timeline.within(EPOCH), timeline.with_loggers([logger]):
        for step in range(3):
            logger.log_metrics({"loss": 1.0}, step=step)
    logger.log_metrics({}, 3)
    assert timeline.found == {Activity.LOGGING: 9}
    assert timeline.step_seconds == 6  # without the first, which may have had to open something
    assert "log_metrics" not in vars(logger)


def test_the_device_is_waited_for_at_every_look_at_the_clock(timeline: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    class Gpu:
        @staticmethod
        def synchronize() -> None:
            timeline.tick(1)

    monkeypatch.setattr(torch, "get_device_module", lambda device: Gpu)
    timeline.on_device(torch.device("cuda"))
    with timeline.within("fit"):
        timeline.play("[Strategy]SingleDeviceStrategy.training_step", 0)
    # What was still to be done when an action began, or ended, belongs to what was going on until then.
    assert timeline.found == {Activity.OTHER: 2, Activity.FORWARD: 1}
    timeline.on_device(torch.device("cpu"))
    timeline.play("fit", 0)
    assert timeline.found == {Activity.OTHER: 2, Activity.FORWARD: 1}
