"""The profile of one run: what its stopwatch, its training and its batches tell, put together."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from pytorch_lightning.loggers import Logger
from transformers import PreTrainedModel

from embfact.profiling.flops import RowFlops, row_flops
from embfact.profiling.parts import Part
from embfact.profiling.report import Report, Steps
from embfact.profiling.throughput import Throughput
from embfact.profiling.timeline import ASIDE, Timeline
from embfact.system.resources import Stopwatch

log = logging.getLogger(__name__)

# Steps of the stopwatch that are parts by themselves; the training is divided by the timeline.
_STEPS = {
    "data": Part.LOADING,
    "evidence": Part.EVIDENCE,
    "factorization": Part.FACTORIZATION,
    "evaluation": Part.EVALUATION,
}


class Profile:
    """Watches one run from the moment it is made.

    Args:
        watch: The stopwatch of the run; what earlier attempts have taken is left out.

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

    def count(self, model: PreTrainedModel, row: np.ndarray) -> None:
        """Count the operations of the model, before anything in it is replaced by what is cheaper.

        Args:
            model: The classifier as it will be trained.
            row: Token ids of any row.
        """
        with self.timeline.profile(ASIDE):
            try:
                self._flops = row_flops(model, row)
            except Exception as error:  # of a model that knows no such rows: it costs the figure, not the run
                log.warning("the operations of the model could not be counted: %s", error)

    @contextmanager
    def training(self, loggers: Sequence[Logger]) -> Iterator[None]:
        """The block in which Lightning trains."""
        self._threads = torch.get_num_threads()
        with self.timeline.with_loggers(loggers), self.timeline.profile("fit"):
            yield

    def report(self, name: str, device: str, devices: int) -> Report:
        """What is known now, at the end of the run.

        Args:
            name: The run.
            device: What it was trained on.
            devices: How many of them.
        """
        now, before = self._watch.seconds(), self._before
        seconds = {**self.timeline.seconds, Part.OTHER: 0.0}
        for step, part in _STEPS.items():
            seconds[part] += now.get(step, 0.0) - before.get(step, 0.0)
        total = now["total"] - before["total"] - self.timeline.left_out
        seconds[Part.OTHER] = max(0.0, total - sum(seconds.values()))
        return Report(name, seconds, self._steps(device, devices))

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
