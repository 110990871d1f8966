"""A Lightning profiler that assigns every moment of a training to one part."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, repeat
from typing import Any, NamedTuple

import torch
from pytorch_lightning.loggers import Logger
from pytorch_lightning.profilers import Profiler

from embfact.profiling.report import STEP, Activity

ASIDE = "aside"  # an action whose time does not count
EPOCH = "run_training_epoch"  # Lightning's action around all steps of an epoch
OPENING = "log_metrics, and what is opened for it"  # the first call, for which W&B takes seconds

_HOOKS = {
    "train_dataloader_next": Activity.DATA,
    "on_before_batch_transfer": Activity.DATA,
    "batch_to_device": Activity.DATA,
    "training_step": Activity.FORWARD,
    "backward": Activity.BACKWARD,
    "optimizer_step": Activity.OPTIMIZER,  # contains forward and backward pass, which are subtracted
    "optimizer_zero_grad": Activity.OPTIMIZER,
    "configure_gradient_clipping": Activity.OPTIMIZER,
    "configure_optimizers": Activity.OPTIMIZER,
    "lr_scheduler_step": Activity.OPTIMIZER,
    "log_metrics": Activity.LOGGING,
    OPENING: Activity.LOGGING,
    "save_checkpoint": Activity.LOGGING,
}
# The profiling itself.
_LEFT_OUT = (ASIDE, "[Callback]Throughput.")
# The first matching prefix decides.
_OWNERS = {
    "[Callback]Refactorization.": Activity.FACTORIZATION,
    "[Callback]": Activity.LOGGING,
    "[LightningDataModule]": Activity.DATA,
}


class _Open(NamedTuple):
    """An action in progress: its part (None is not counted), and whether it is within an epoch."""

    part: Activity | None
    in_epoch: bool


class Timeline(Profiler):
    """Seconds by part, each counted once: the time of an action excludes that of the actions within it.

    Lightning reports the start and stop of actions with names such as ``[Strategy]SingleDeviceStrategy.backward``. An
    action without a part belongs to the part around it, and everything during held-out scoring belongs to that.

    Args:
        clock: Returns the time in seconds.

    Attributes:
        seconds: Seconds of each part.
        step_seconds: Seconds of the training steps: the epochs without held-out scoring, projections of the table, and
            the first call of a logger.
        left_out: Seconds of the profiling itself, included in neither.
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
        """Synchronize with a device whenever the time is read: all but CPUs work asynchronously."""
        self._device = None if device.type == "cpu" else device

    def now(self) -> float:
        """The time, after the device has finished its work."""
        if self._device:
            torch.get_device_module(self._device).synchronize()
        return self._clock()

    def start(self, action_name: str) -> None:
        """An action starts."""
        self._charge()
        around = self._open[-1] if self._open else _Open(Activity.OTHER, False)
        if action_name.endswith(".on_validation_model_eval"):
            # Lightning has no action around the whole scoring: it starts here and lasts until its last hook.
            around = _Open(Activity.HELD_OUT, around.in_epoch)
            self._open.append(around)
        in_epoch = action_name == EPOCH or (around.in_epoch and action_name != OPENING)
        self._open.append(_Open(_part_of(action_name, around.part), in_epoch))

    def stop(self, action_name: str) -> None:
        """The action that started last ends."""
        self._charge()
        self._open.pop()
        if action_name.startswith("[Strategy]") and action_name.endswith(".on_validation_end"):
            self._open.pop()

    @contextmanager
    def with_loggers(self, loggers: Sequence[Logger]) -> Iterator[None]:
        """Also time the loggers within a block, which Lightning does not report."""
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
        """Add the time since the last event to the current part."""
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
    """The part of an action, given the part around it."""
    if around is None or action.startswith(_LEFT_OUT):
        return None
    hook = action.rpartition(".")[2]
    if around is Activity.HELD_OUT or hook.startswith("on_validation_"):
        return Activity.HELD_OUT
    owner = next((part for owner, part in _OWNERS.items() if action.startswith(owner)), None)
    return owner or _HOOKS.get(hook, around)
