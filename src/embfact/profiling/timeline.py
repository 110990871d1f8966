"""A profiler of Lightning's that gives every moment of a training to one part."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, repeat
from typing import Any, NamedTuple

import torch
from pytorch_lightning.loggers import Logger
from pytorch_lightning.profilers import Profiler

from embfact.profiling.activities import STEP, Activity

ASIDE = "aside"  # the action whose time is no part of the run
EPOCH = "run_training_epoch"  # Lightning's action around all steps of an epoch
OPENING = "log_metrics, and what is opened for it"  # W&B takes seconds for it, once

_HOOKS = {
    "train_dataloader_next": Activity.DATA,
    "on_before_batch_transfer": Activity.DATA,
    "batch_to_device": Activity.DATA,
    "training_step": Activity.FORWARD,
    "backward": Activity.BACKWARD,
    "optimizer_step": Activity.OPTIMIZER,  # forward and backward pass are within it, and taken out
    "optimizer_zero_grad": Activity.OPTIMIZER,
    "configure_gradient_clipping": Activity.OPTIMIZER,
    "configure_optimizers": Activity.OPTIMIZER,
    "lr_scheduler_step": Activity.OPTIMIZER,
    "log_metrics": Activity.LOGGING,
    OPENING: Activity.LOGGING,
    "save_checkpoint": Activity.LOGGING,
}
# What profiling itself does.
_LEFT_OUT = (ASIDE, "[Callback]Throughput.")
# The first that an action's name begins with decides.
_OWNERS = {
    "[Callback]Refactorization.": Activity.FACTORIZATION,
    "[Callback]": Activity.LOGGING,
    "[LightningDataModule]": Activity.DATA,
}


class _Open(NamedTuple):
    """An action that is going on: its part (None is left out), and whether it is within an epoch."""

    part: Activity | None
    in_epoch: bool


class Timeline(Profiler):
    """Seconds by part, each counted once: an action's own time is without that of the actions within it.

    Lightning tells when an action starts and stops, by names such as ``[Strategy]SingleDeviceStrategy.backward``. What
    has no part of its own belongs to the part that it is within, and all that happens while the held-out rows are
    scored belongs to that.

    Args:
        clock: Gives the time in seconds.

    Attributes:
        seconds: Of every part.
        step_seconds: Of the steps of the training: its epochs without held-out scoring, projections of the table, and
            the first call of a logger.
        left_out: Seconds of the profiling itself, which are in neither.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        super().__init__()
        self.seconds = dict.fromkeys(Activity, 0.0)
        self.step_seconds = 0.0
        self.left_out = 0.0
        self._clock = clock
        self._device: torch.device | None = None
        self._open: list[_Open] = []
        self._mark = 0.0

    def on_device(self, device: torch.device) -> None:
        """Wait for a device at every look at the clock: others than a CPU work on while the program goes ahead."""
        self._device = None if device.type == "cpu" else device

    def now(self) -> float:
        """The time, once the device has done all it was given."""
        if self._device:
            torch.get_device_module(self._device).synchronize()
        return self._clock()

    def start(self, action_name: str) -> None:
        """An action begins."""
        self._charge()
        around = self._open[-1] if self._open else _Open(Activity.OTHER, False)
        if action_name.endswith(".on_validation_model_eval"):
            # Lightning has no action around the whole scoring: it begins here, and lasts until its last hook.
            around = _Open(Activity.HELD_OUT, around.in_epoch)
            self._open.append(around)
        in_epoch = action_name == EPOCH or (around.in_epoch and action_name != OPENING)
        self._open.append(_Open(_part_of(action_name, around.part), in_epoch))

    def stop(self, action_name: str) -> None:
        """The action that began last ends."""
        self._charge()
        self._open.pop()
        if action_name.startswith("[Strategy]") and action_name.endswith(".on_validation_end"):
            self._open.pop()

    @contextmanager
    def with_loggers(self, loggers: Sequence[Logger]) -> Iterator[None]:
        """Count what loggers do in a block as well, of which Lightning does not tell."""
        for logger in loggers:
            vars(logger)["log_metrics"] = self._timed(logger.log_metrics)
        try:
            yield
        finally:
            for logger in loggers:
                del vars(logger)["log_metrics"]

    def _timed(self, log: Callable[..., Any]) -> Callable[..., Any]:
        actions = chain([OPENING], repeat("log_metrics"))

        def timed(*args: Any, **options: Any) -> Any:
            with self.profile(next(actions)):
                return log(*args, **options)

        return timed

    def _charge(self) -> None:
        """Give the time since the last event to what went on."""
        now = self.now()
        passed, self._mark = now - self._mark, now
        if not self._open:
            return
        part, in_epoch = self._open[-1]
        if part is None:
            self.left_out += passed
            return
        self.seconds[part] += passed
        if in_epoch and part in STEP:
            self.step_seconds += passed


def _part_of(action: str, around: Activity | None) -> Activity | None:
    """The part of an action that is within another one."""
    if around is None or action.startswith(_LEFT_OUT):
        return None
    hook = action.rpartition(".")[2]
    if around is Activity.HELD_OUT or hook.startswith("on_validation_"):
        return Activity.HELD_OUT
    owner = next((part for owner, part in _OWNERS.items() if action.startswith(owner)), None)
    return owner or _HOOKS.get(hook, around)
