"""What is watched while a model trains: its learning curve (``metrics.csv``), and whether its loss is a number."""

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
# What a step tells; the last one only where something has replaced the table.
TOLD = ("train/loss", "optimizer/lr", "optimizer/embedding_lr")


class LearningCurve(Callback):
    """Writes losses and held-out metrics as they come, and goes on with the curve of an interrupted training.

    Args:
        directory: The run directory.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE_NAME
        self._rows: list[dict[str, Any]] = []
        self._columns: list[str] = []

    def state_dict(self) -> dict[str, Any]:
        """The curve so far."""
        return {"rows": self._rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the curve up; what was written after the state was kept is written again."""
        self._rows = list(state_dict["rows"])

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Begin the file, with the rows that are known."""
        held_out = [f"selection/{name}" for name in (*pl_module.metrics, "loss")]
        self._columns = ["epoch", "step", *TOLD, *held_out]
        header = dict(zip(self._columns, self._columns, strict=True))
        self._write(lambda: write_text(self._path, self._lines([header, *self._rows])))

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, *args: Any) -> None:
        """Loss and learning rates every `EVERY` steps."""
        if trainer.global_step % EVERY == 0 and not trainer.fit_loop._should_accumulate():
            self._add({name: float(value) for name, value in outputs["logged"].items()}, trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """The metrics of the held-out slice."""
        entry = {name: value for name, value in pl_module.history[-1].items() if name != "epoch"}
        self._add({f"selection/{name}": value for name, value in entry.items()}, trainer)

    def _add(self, values: dict[str, Any], trainer: pl.Trainer) -> None:
        row = {"epoch": trainer.current_epoch, "step": trainer.global_step, **values}
        self._rows.append(row)
        self._write(lambda: self._append(row))

    def _append(self, row: dict[str, Any]) -> None:
        with self._path.open("a", encoding="utf-8", newline="") as file:
            file.write(self._lines([row]))

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
    """Ends a training whose loss has become infinite or no number at all: nothing good comes after it.

    Args:
        lr: The learning rate, for the remedy.
    """

    def __init__(self, lr: float) -> None:
        self._lr = lr

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, *args: Any) -> None:
        """Look at every loss; elsewhere than on a CPU at every tenth, since each look waits for the device.

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
