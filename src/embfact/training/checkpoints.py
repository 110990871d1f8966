"""A Lightning callback that saves the training state, so that a resumed run ends with the same bits.

Lightning's own checkpoints lack the random number generators and the position within an epoch, which are added here.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins import TorchCheckpointIO
from pytorch_lightning.callbacks import Callback

from embfact.runs.life import Life
from embfact.runs.resume import Resumable, random_state, restore_random
from embfact.system import signals
from embfact.system.ranks import rank, world_size
from embfact.training.distributed import agree, gather

log = logging.getLogger(__name__)

ASK_EVERY = 10  # steps on GPUs between asking the other ranks whether one of them was told to stop


class StateFiles(TorchCheckpointIO):
    """Saves Lightning's checkpoints as resumable states, with the `notes` at that moment."""

    def __init__(self, states: Resumable, notes: Callable[[], dict[str, Any]]) -> None:
        super().__init__()
        self._states = states
        self._notes = notes

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Save a state; Lightning's path is ignored."""
        try:
            self._states.save(checkpoint, self._notes())
            log.info("training state saved after step %d", checkpoint["global_step"])
        except OSError as error:
            # A full disk costs the checkpoint, not the run; the other ranks, which are waiting, need not know.
            log.warning("no checkpoint after step %d: %s", checkpoint["global_step"], error)

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = True) -> dict[str, Any]:
        """Load a state without running any code in the file."""
        return torch.load(path, map_location="cpu", weights_only=True)


class Checkpoints(Callback):
    """Saves at intervals and when a signal asks to stop, always after a whole optimizer step within an epoch.

    Lightning's loops cannot be resumed exactly after the last step of an epoch; a state due then is saved before the
    first step of the next epoch. None is saved after the very last step: the weights are saved next.

    Args:
        every: Steps, minutes as in ``5min``, or None to save only when interrupted.
        life: Reports every step.
    """

    def __init__(self, every: int | str | None, life: Life) -> None:
        self._steps = every if isinstance(every, int) else None
        self._seconds = 60 * float(every.removesuffix("min")) if isinstance(every, str) else None
        self._life = life
        self._saved = (0, time.monotonic())
        self._stepped = self._total = 0
        self._random: Mapping[str, Any] | None = None
        self._batches = 0
        self._before_step = False

    def state_dict(self) -> dict[str, Any]:
        """What Lightning does not save."""
        return {"random": gather(random_state()), "batches": self._batches}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore it; the generators only at the first batch, since the set-up draws random numbers too."""
        generators = state_dict["random"]
        self._random = generators[rank()] if rank() < len(generators) else None
        self._batches = int(state_dict["batches"])

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Do not count a batch that was fetched but not trained on."""
        if self._before_step:
            progress = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]
            for counts in (progress["total"], progress["current"]):
                counts["ready"] -= 1
            progress["is_last_batch"] = False

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Resume within the epoch; take the signal handlers back from Lightning."""
        signals.take_over()
        self._saved = (trainer.global_step, time.monotonic())
        self._stepped, self._total = trainer.global_step, int(trainer.estimated_stepping_batches)
        if self._random is not None:
            log.info("resuming after step %d", trainer.global_step)
            cast(Any, trainer.train_dataloader).sampler.skip(self._batches)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Report the last step, however recent the previous report."""
        self._life.step(trainer.global_step, self._total, now=True)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Restore the generators before any number is drawn, or save a state that was due at the end of an epoch.

        Raises:
            Interrupted: After saving, if a signal asked to stop.
        """
        if self._random is not None:
            restore_random(self._random)
            self._random = None
        elif batch_idx == 0 and trainer.global_step:
            self._before_step = True
            self._answer(trainer, batches=0)
            self._before_step = False

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, *args: Any) -> None:
        """Report the step, and save if a state is due.

        Raises:
            Interrupted: After saving, if a signal asked to stop.
        """
        stepped, self._stepped = trainer.global_step > self._stepped, trainer.global_step
        self._life.step(trainer.global_step, self._total, outputs["logged"]["train/loss"])
        # Partially accumulated gradients and the end of an epoch cannot be resumed exactly.
        if stepped and not trainer.is_last_batch and not trainer.should_stop:
            self._answer(trainer, trainer.fit_loop.epoch_loop.batch_progress.current.ready)

    def _answer(self, trainer: pl.Trainer, batches: int) -> None:
        """Save if a state is due or a signal asked to stop, and stop if it did."""
        stop, due = signals.requested() is not None, self._due(trainer.global_step)
        if world_size() > 1:
            # Asking takes a millisecond, and on a GPU would also wait for the device.
            if trainer.strategy.root_device.type != "cpu" and trainer.global_step % ASK_EVERY and batches:
                return
            stop, due = agree(stop), agree(due)
        if stop or due:
            self._save(trainer, batches)
        if stop:
            signals.answer()

    def _due(self, step: int) -> bool:
        last_step, last_time = self._saved
        if self._steps is not None:
            return step - last_step >= self._steps
        return self._seconds is not None and time.monotonic() - last_time >= self._seconds

    def _save(self, trainer: pl.Trainer, batches: int) -> None:
        self._life.enter("checkpointing")
        self._batches = batches
        trainer.save_checkpoint(Path(self._life.directory) / "unused")
        self._saved = (trainer.global_step, time.monotonic())
        self._life.enter("training")
