"""One trial: training with proposed options, scored on the held-out slice. Reported splits are not even loaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

from embfact.config.run_config import RunConfig
from embfact.data.datamodule import TextDataModule
from embfact.data.fingerprint import fingerprint
from embfact.inference.scoring import predict
from embfact.runs.identity import identify
from embfact.search.study import Report
from embfact.system import signals
from embfact.system.resources import release_memory
from embfact.tasks.sequence_classification import SELECTED_BY, loss_of
from embfact.training.context import RunContext
from embfact.training.factorize import factorize
from embfact.training.fit import fit
from embfact.training.refactorization import Refactorization
from embfact.training.start import USUAL, data_module, load


def train(config: RunConfig, title: str, directory: Path, report: Report) -> float:
    """Run a trial: one training for each of its seeds.

    Args:
        config: The options to try, with the first seed.
        title: Its name in the progress bar.
        directory: Scratch space, which the caller removes.
        report: Takes the held-out loss at each check before the last; raises if the trial should be pruned.

    Returns:
        The held-out loss, a mean over the seeds, of the weights that a run with these options would keep: those of its
        best epoch with ``checkpoint=best``, else the last ones.

    Raises:
        DivergedError: If the loss is not finite.
        Interrupted: If a signal asked to stop.
    """
    losses: list[float] = []
    for number in range(config.search.seeds):
        seeded = config.model_copy(update={"seed": config.search.seed + number})
        before = number * config.search.checks
        if losses:
            report(losses[-1], before)
        losses.append(_train(seeded, title, directory, partial(_report_after, report, before)))
    return fmean(losses)


def _report_after(report: Report, before: int, loss: float, check: int) -> None:
    report(loss, before + check)


def _train(config: RunConfig, title: str, directory: Path, report: Report) -> float:
    release_memory()  # of the previous training
    identity = identify(config)
    # Without reported splits, none can be predicted or scored.
    config = config.model_copy(update={"data": config.data.model_copy(update={"report_splits": []})})
    seen = fingerprint(config.data, config.paths.data_dir, config.paths.cache_dir)
    context = RunContext(config, replace(identity, name=title, directory=directory, data_fingerprint=seen))
    torch.set_num_threads(config.trainer.threads or USUAL)
    pl.seed_everything(config.seed, workers=True, verbose=False)
    start = load(context)
    start, _, refactorization = factorize(start, context)
    data = data_module(start, config)
    judge = _Judge(config.search.checks, data, report, refactorization)
    fitted = fit(start.model, data, context, refactorization, watching=[judge], teacher=start.teacher)
    return float(fitted.history[-1][SELECTED_BY] if fitted.value is None else fitted.value)


class _Judge(Callback):
    """Scores the held-out slice at evenly spaced steps, except the last, and reports the scores.

    Args:
        checks: Number of parts that the training is divided into.
        data: Has the held-out rows.
        report: Takes the scores.
        refactorization: Keeps the table dense for a while; until then, scores say nothing about the factors.
    """

    def __init__(
        self,
        checks: int,
        data: TextDataModule,
        report: Callable[[float, int], None],
        refactorization: Refactorization | None,
    ) -> None:
        self._checks = checks
        self._data = data
        self._report = report
        self._refactorization = refactorization
        self._due: list[tuple[int, int]] = []

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Plan the checks; take the signal handlers back from Lightning."""
        signals.take_over()
        self._due = checkpoints(int(trainer.estimated_stepping_batches), self._checks)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: Any) -> None:
        """Score if a check is due.

        Raises:
            Interrupted: If a signal asked to stop.
            Exception: Raised by the report to prune the trial.
        """
        if signals.requested() is not None:
            signals.answer()
        # The step count does not change while gradients are accumulated.
        if not self._due or trainer.global_step < self._due[0][0]:
            return
        _, number = self._due.pop(0)
        if self._refactorization is None or not self._refactorization.dense:
            self._report(self._score(pl_module), number)

    def _score(self, module: pl.LightningModule) -> float:
        rows = self._data.selection
        assert rows is not None  # a search without held-out rows is refused
        assert rows.labels is not None
        training = [part for part in module.modules() if part.training]
        logits = predict(
            module.model,  # type: ignore[arg-type]
            rows,
            pad_token_id=self._data.pad_token_id,
            padding_side=self._data.padding_side,
            batch_size=self._data.eval_batch_size,
            device=module.device,
        )
        for part in training:
            part.training = True
        return loss_of(torch.from_numpy(logits), torch.tensor(rows.labels)).item()


def checkpoints(steps: int, checks: int) -> list[tuple[int, int]]:
    """Step and number of each check except the last, which is the end of the training.

    Args:
        steps: Optimizer steps of the training; with fewer steps than checks, each step is a check.
        checks: Number of parts of equal length.
    """
    found = {round(steps * number / checks): number for number in range(checks - 1, 0, -1)}
    return sorted((step, number) for step, number in found.items() if 0 < step < steps)
