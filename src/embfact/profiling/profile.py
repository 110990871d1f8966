"""The profile of one run, from its stopwatch, its training and its batches."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any, cast

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import Logger
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from transformers import PreTrainedModel

from embfact.profiling.lookup import lookup_microseconds
from embfact.profiling.report import Activity, Report, Steps
from embfact.profiling.timeline import ASIDE, Timeline
from embfact.system.resources import Stopwatch

EVERY = 20  # optimizer steps between two measurements of the speed of the machine
PRODUCTS = 5  # matrix products per measurement
CPU_SHAPE = (512, 384, 1536)  # 512 tokens through the first matrix of MiniLM's feed-forward part
GPU_SHAPE = (4096, 4096, 4096)  # large enough to keep all of it busy
_DTYPES = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}

# The shortest rows that every model accepts: the polynomial through them is exact for all lengths.
_LENGTHS = (2, 3, 4)

log = logging.getLogger(__name__)

# Steps of the stopwatch that are whole parts; the timeline divides the training.
_STEPS = {
    "data": Activity.LOADING,
    "evidence": Activity.EVIDENCE,
    "factorization": Activity.FACTORIZATION,
    "evaluation": Activity.EVALUATION,
}


class Profile:
    """Profiles one run from the moment it is created.

    Args:
        watch: The stopwatch of the run; earlier attempts are not counted.

    Attributes:
        timeline: The profiler of its training.
        throughput: The callback of its training.
    """

    def __init__(self, watch: Stopwatch) -> None:
        self.timeline = Timeline()
        self.throughput = Throughput(self.timeline)
        self._watch = watch
        self._before = watch.seconds()
        self._flops: RowFlops | None = None
        self._threads = 1
        self._lookup: float | None = None
        self._lookup_took = 0.0

    def count(self, model: PreTrainedModel, row: np.ndarray) -> None:
        """Count the operations of the model, before faster kernels replace parts of it; see `row_flops`."""
        with self.timeline.profile(ASIDE):
            try:
                self._flops = row_flops(model, row)
            except Exception as error:  # a model that rejects such rows: only this figure is lost
                log.warning("the operations of the model could not be counted: %s", error)

    @contextmanager
    def training(self, loggers: Sequence[Logger]) -> Iterator[None]:
        """The block in which Lightning trains."""
        self._threads = torch.get_num_threads()
        with self.timeline.with_loggers(loggers), self.timeline.profile("fit"):
            yield

    def look_up(self, embedding: nn.Module, vocab_size: int, device: torch.device) -> None:
        """Time a lookup in the saved embedding, during the evaluation, which this does not count for."""
        before = self.timeline.left_out
        with self.timeline.profile(ASIDE):
            self._lookup = lookup_microseconds(embedding, vocab_size, device)
        self._lookup_took = self.timeline.left_out - before

    def report(self, name: str, device: str, devices: int) -> Report:
        """The report at the end of a run that was trained on a number of devices of a kind."""
        now, before = self._watch.seconds(), self._before
        seconds = {**self.timeline.seconds, Activity.OTHER: 0.0}
        for step, part in _STEPS.items():
            seconds[part] += now.get(step, 0.0) - before.get(step, 0.0)
        seconds[Activity.EVALUATION] -= self._lookup_took
        total = now["total"] - before["total"] - self.timeline.left_out
        seconds[Activity.OTHER] = max(0.0, total - sum(seconds.values()))
        return Report(name, seconds, self._steps(device, devices), self._lookup)

    def _steps(self, device: str, devices: int) -> Steps | None:
        seen = self.throughput
        if not seen.per_step:
            return None
        flops = self._flops.of(seen.rows, seen.tokens, seen.squares) if self._flops else None
        return Steps(
            seconds=self.timeline.step_seconds,
            count=len(seen.per_step),
            rows=seen.rows,
            fewest=min(seen.per_step),
            most=max(seen.per_step),
            tokens=seen.tokens,
            cells=seen.cells,
            device=device,
            devices=devices,
            threads=self._threads,
            flops=flops,
            machine_flops=seen.machine_speed,
            product=seen.product,
        )


@dataclass(frozen=True)
class RowFlops:
    """Operations of forward and backward pass for a row of n tokens: ``constant + linear n + quadratic n^2``.

    Attributes:
        constant: Per row: pooler and head.
        linear: Per token: the matrices of the encoder.
        quadratic: Per pair of tokens: attention.
    """

    constant: float
    linear: float
    quadratic: float

    def of(self, rows: int, tokens: int, squares: int) -> float:
        """Operations for many rows, given their number, the sum of their lengths, and that of the squared lengths."""
        return self.constant * rows + self.linear * tokens + self.quadratic * squares


def row_flops(model: PreTrainedModel, row: np.ndarray) -> RowFlops:
    """Count the matrix products of a step: a multiplication and an addition are two operations.

    Counts on a copy on the CPU with eager attention, which hides no operations in a kernel; the model, its gradients
    and the random generators are left unchanged. Frozen parts have no gradients and cost less. A table that is
    projected during training is counted as it is now.

    Args:
        model: The classifier as it will be trained.
        row: Token ids of any row with special tokens; only the first and the last id are used.

    Returns:
        The polynomial, exact for an encoder whose tokens all attend to each other.
    """
    twin = copy.deepcopy(model).cpu().eval()
    cast(Any, twin).set_attn_implementation("eager")
    short, middle, long = (_count(twin, [int(row[0])] * (n - 1) + [int(row[-1])]) for n in _LENGTHS)
    quadratic = (long - 2 * middle + short) / 2
    linear = middle - short - quadratic * (_LENGTHS[0] + _LENGTHS[1])
    return RowFlops(short - linear * _LENGTHS[0] - quadratic * _LENGTHS[0] ** 2, linear, quadratic)


def _count(model: PreTrainedModel, tokens: list[int]) -> int:
    with torch.enable_grad(), FlopCounterMode(display=False) as counter:
        ids = torch.tensor([tokens])
        model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits.sum().backward()
    model.zero_grad(set_to_none=True)
    return int(counter.get_total_flops())


class Throughput(Callback):
    """Counts rows, tokens and padding of every batch, and times a matrix product between the steps.

    The product is timed during training, since the speed of a machine changes under load. `Timeline` excludes the time
    that this takes.

    Args:
        timeline: The profiler; learns the device from this callback.

    Attributes:
        rows: Rows trained on.
        tokens: Their tokens, without padding.
        squares: The sum of their squared lengths.
        cells: Their tokens, with padding.
        per_step: Rows of every optimizer step.
        product: Description of the matrix product.
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
        """Median operations per second of the matrix products; None before the first."""
        return self._operations / median(self._times) if self._times else None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Create the matrices: in float32 on a CPU, otherwise in the precision of the training."""
        device = trainer.strategy.root_device
        self._timeline.on_device(device)
        n, k, m = CPU_SHAPE if device.type == "cpu" else GPU_SHAPE
        dtype = torch.float32 if device.type == "cpu" else _DTYPES.get(str(trainer.precision), torch.float32)
        # No random numbers, which would change those of the training.
        left, right, product = (torch.ones(shape, dtype=dtype, device=device) for shape in ((n, k), (k, m), (n, m)))
        self._matrices = left, right, product
        self._operations = 2 * n * k * m
        self.product = f"{n} x {k} x {m} {str(dtype).removeprefix('torch.')}"

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count a batch, and measure the machine if due."""
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
            self._measure()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Free the matrices."""
        self._matrices = None

    @torch.no_grad()
    def _measure(self) -> None:
        if self._matrices is None:
            return
        left, right, product = self._matrices
        with torch.autocast(left.device.type, enabled=False):
            torch.mm(left, right, out=product)  # warms up the caches
            for _ in range(PRODUCTS):
                start = self._timeline.now()
                torch.mm(left, right, out=product)
                self._times.append(self._timeline.now() - start)
