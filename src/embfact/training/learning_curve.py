"""Callbacks that watch a training: its learning curve (``metrics.csv``), and whether its loss is finite."""

from __future__ import annotations

import csv
import io
import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

from embfact.errors import DivergedError
from embfact.formatting.typed import number
from embfact.runs.curve import FILE_NAME
from embfact.system.atomic import write_text
from embfact.system.ranks import rank

log = logging.getLogger(__name__)

EVERY = 10  # optimizer steps between two losses
# The values of a step; the last one only if the table has been replaced.
TOLD = ("train/loss", "optimizer/lr", "optimizer/embedding_lr")


class LearningCurve(Callback):
    """Writes losses and held-out metrics to a run directory, and continues the curve of an interrupted training."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE_NAME
        self._rows: list[dict[str, Any]] = []
        self._columns: list[str] = []

    def state_dict(self) -> dict[str, Any]:
        """The curve so far."""
        return {"rows": self._rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the curve as of the saved state; later rows are written again."""
        self._rows = list(state_dict["rows"])

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Start the file with the known rows."""
        held_out = [f"selection/{name}" for name in (*pl_module.metrics, "loss")]
        self._columns = ["epoch", "step", *TOLD, *held_out]
        header = dict(zip(self._columns, self._columns, strict=True))
        self._write(lambda: write_text(self._path, self._lines([header, *self._rows])))

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, *args: Any) -> None:
        """Add loss and learning rates every `EVERY` steps."""
        if trainer.global_step % EVERY == 0 and not trainer.fit_loop._should_accumulate():
            self._add({name: float(value) for name, value in outputs["logged"].items()}, trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Add the metrics of the held-out slice."""
        entry = {name: value for name, value in pl_module.history[-1].items() if name != "epoch"}
        self._add({f"selection/{name}": value for name, value in entry.items()}, trainer)

    def _add(self, values: dict[str, Any], trainer: pl.Trainer) -> None:
        row = {"epoch": trainer.current_epoch, "step": trainer.global_step, **values}
        self._rows.append(row)

        def append() -> None:
            with self._path.open("a", encoding="utf-8", newline="") as file:
                file.write(self._lines([row]))

        self._write(append)

    def _write(self, action: Callable[[], None]) -> None:
        if rank():
            return
        try:
            action()
        except OSError as error:  # a full disk costs the curve, not the run
            log.warning("the learning curve could not be written: %s", error)

    def _lines(self, rows: list[dict[str, Any]]) -> str:
        text = io.StringIO()
        csv.DictWriter(text, self._columns, lineterminator="\n").writerows(rows)
        return text.getvalue()


class Divergence(Callback):
    """Ends a training whose loss has become infinite or NaN, since it cannot recover; `lr` is for the message."""

    def __init__(self, lr: float) -> None:
        self._lr = lr

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, *args: Any) -> None:
        """Check every loss on a CPU, and every tenth on other devices, since each check waits for the device.

        Raises:
            DivergedError: With the step.
        """
        loss: torch.Tensor = outputs["logged"]["train/loss"]
        if loss.device.type != "cpu" and trainer.global_step % EVERY:
            return
        value = float(loss)
        if not math.isfinite(value):
            raise DivergedError(
                f"the loss became {value} at step {trainer.global_step}; lower optimizer.lr (now {number(self._lr)}), "
                "or raise optimizer.warmup_ratio"
            )
