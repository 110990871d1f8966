"""A callback that counts what a training goes through, and how fast the machine multiplies meanwhile."""

from __future__ import annotations

from statistics import median
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

from embfact.profiling.timeline import Timeline

EVERY = 20  # optimizer steps between two looks at the speed of the machine
PRODUCTS = 5  # matrix products at each
CPU_SHAPE = (512, 384, 1536)  # 512 tokens through the first matrix of MiniLM's feed-forward part
GPU_SHAPE = (4096, 4096, 4096)  # large enough to keep all of it busy
_DTYPES = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


class Throughput(Callback):
    """Counts rows, tokens and padding of every batch, and times a matrix product between the steps.

    The product is timed then and not before, since what a machine gives changes while it works. `Timeline` leaves out
    what this takes.

    Args:
        timeline: Told of the device.

    Attributes:
        rows: Rows trained on.
        tokens: Their tokens, without padding.
        squares: The sum of the squares of their lengths.
        cells: Their tokens with padding.
        per_step: Rows of every optimizer step.
        product: What is multiplied, in words.
    """

    def __init__(self, timeline: Timeline) -> None:
        self.rows = self.tokens = self.squares = self.cells = 0
        self.per_step: list[int] = []
        self.product = ""
        self._timeline = timeline
        self._open = 0
        self._operations = 0
        self._matrices: tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None = None
        self._times: list[float] = []

    @property
    def machine_speed(self) -> float | None:
        """Operations a second of the matrix product, the median of all; None before the first."""
        return self._operations / median(self._times) if self._times else None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Make the matrices: on a CPU of float32, elsewhere in the precision of the training."""
        device = trainer.strategy.root_device
        self._timeline.on_device(device)
        n, k, m = CPU_SHAPE if device.type == "cpu" else GPU_SHAPE
        dtype = torch.float32 if device.type == "cpu" else _DTYPES.get(str(trainer.precision), torch.float32)
        # No random numbers: those of the training stay as they are.
        left, right, product = (torch.ones(shape, dtype=dtype, device=device) for shape in ((n, k), (k, m), (n, m)))
        self._matrices = left, right, product
        self._operations = 2 * n * k * m
        self.product = f"{n} x {k} x {m} {str(dtype).removeprefix('torch.')}"

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count a batch, and look at the machine if it is time to."""
        mask = batch["attention_mask"]
        lengths = mask.sum(dim=1)
        self.rows += len(mask)
        self.cells += mask.numel()
        self.tokens += int(lengths.sum())
        self.squares += int((lengths * lengths).sum())
        self._open += len(mask)
        if trainer.fit_loop._should_accumulate():
            return
        self.per_step.append(self._open)
        self._open = 0
        if len(self.per_step) % EVERY == 1:
            self._look()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Let go of the matrices."""
        self._matrices = None

    @torch.no_grad()
    def _look(self) -> None:
        if self._matrices is None:
            return
        left, right, product = self._matrices
        with torch.autocast(left.device.type, enabled=False):
            torch.mm(left, right, out=product)  # the first one finds other things in the caches
            for _ in range(PRODUCTS):
                start = self._timeline.now()
                torch.mm(left, right, out=product)
                self._times.append(self._timeline.now() - start)
