"""Fine-tuning of one model with Lightning's Trainer."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments import LightningEnvironment
from pytorch_lightning.callbacks import Callback, EarlyStopping, TQDMProgressBar
from pytorch_lightning.callbacks.progress.tqdm_progress import Tqdm
from transformers import PreTrainedModel

from embfact.config.rank_schedule import Projection
from embfact.config.run_config import RunConfig
from embfact.config.sections import TrainerConfig
from embfact.data.datamodule import TextDataModule
from embfact.kernels.swap import for_training
from embfact.models.trainable import freeze
from embfact.system.resources import trim_memory
from embfact.system.signals import held_back
from embfact.system.terminal import BAR
from embfact.tasks.distillation import Distillation
from embfact.tasks.sequence_classification import SELECTED_BY, BestWeights, SequenceClassification
from embfact.training.checkpoints import Checkpoints, StateFiles
from embfact.training.context import RunContext
from embfact.training.learning_curve import Divergence, LearningCurve
from embfact.training.refactorization import Refactorization
from embfact.training.teacher import Teacher
from embfact.training.thaw import Thaw


@dataclass(frozen=True)
class Fitted:
    """The result of a training.

    Attributes:
        steps: Optimizer steps.
        epochs: Epochs, possibly a fraction.
        device: Device it ran on, e.g. ``cpu``.
        history: Held-out metrics of every epoch.
        best_epoch: The epoch whose weights the model has now; None for the last ones.
        value: The held-out loss of the best epoch.
        projections: When the table was projected to which rank, for a training that starts dense.
        batch_rows: Fewest, mean and most rows of a batch.
    """

    steps: int
    epochs: float
    device: str
    history: list[dict[str, Any]]
    best_epoch: int | None
    value: float | None
    projections: list[Projection] | None = None
    batch_rows: dict[str, int | float] | None = None


def fit(
    model: PreTrainedModel,
    data: TextDataModule,
    context: RunContext,
    refactorization: Refactorization | None = None,
    watching: Sequence[Callback] = (),
    teacher: Teacher | None = None,
) -> Fitted:
    """Fine-tune a model in place; with ``checkpoint=best`` it ends with the weights of its best epoch.

    In a training that starts with the dense table, only epochs that ended with factors can be the best.

    Args:
        model: The compressed (or dense) sequence classifier.
        data: Training rows and the held-out slice.
        context: The run; its attempt saves the training state, and has that of an earlier attempt.
        refactorization: Replaces the dense table with factors during training; None if the model has them already.
        watching: Further callbacks.
        teacher: What the model also learns from; `data` has its logits.

    Raises:
        DivergedError: If the loss is not finite.
        Interrupted: If a signal asked to stop; the training state is saved.
    """
    config, attempt, profile = context.config, context.attempt, context.profile
    state = attempt.state if attempt else None
    if refactorization and state:
        refactorization.catch_up(torch.load(state, map_location="cpu", mmap=True, weights_only=True))
    freeze(model, config.trainable)
    thaw = [Thaw(model, config.trainer.factor_epochs)] if config.trainer.factor_epochs else []
    module = SequenceClassification(
        model,
        config.optimizer,
        config.data.metrics,
        config.task.label_smoothing,
        Distillation(config.task, teacher.table) if teacher else None,
        fused=config.trainer.precision == "32-true" or config.trainer.gradient_clip is None,
    )
    best, callbacks = _callbacks(config, refactorization)
    # In a file or a pipe, a progress bar would be thousands of lines.
    if sys.stderr.isatty():
        callbacks.append(_Bar(context.identity.name))
    callbacks += [*thaw, LearningCurve(context.directory), Divergence(config.optimizer.lr), *watching]
    if profile:
        profile.count(model, data.train.row(0))
        callbacks.append(profile.throughput)
    # Last, so that all other callbacks have completed the step when the state is saved.
    callbacks += [Checkpoints(config.checkpoint_every, attempt.life)] if attempt else []
    trainer = _trainer(context, callbacks)
    if config.trainer.compile:
        model.compile()
    device = str(trainer.strategy.root_device)  # Lightning moves the model to the CPU when it is done
    watched = profile.training(context.loggers) if profile else nullcontext()
    with held_back(), _kernels(model, config.trainer, trainer.strategy.root_device), watched:
        trainer.fit(module, datamodule=data, ckpt_path=state)
    epochs = (trainer.fit_loop.total_batch_idx + 1) / max(1, len(data.train_dataloader()))
    value = None
    if best:
        best.restore(module)
        value = next((entry[SELECTED_BY] for entry in module.history if entry["epoch"] == best.epoch), None)
    return Fitted(
        trainer.global_step,
        round(epochs, 4),
        device,
        module.history,
        best.epoch if best else None,
        value,
        refactorization.done if refactorization else None,
        data.batch_rows(),
    )


def _kernels(model: PreTrainedModel, options: TrainerConfig, device: torch.device) -> AbstractContextManager[None]:
    """The requested attention, and faster kernels where they apply."""
    asked_for = options.attention != "auto"
    if asked_for:
        model.set_attn_implementation(options.attention)
    # A compiler fuses standard modules better.
    cheaper = options.kernels == "auto" and not options.compile
    return for_training(model, device, attend=not asked_for) if cheaper else nullcontext()


def _callbacks(config: RunConfig, refactorization: Refactorization | None) -> tuple[BestWeights | None, list[Callback]]:
    """The callback that selects the best epoch, if any, and all callbacks that depend on the configuration."""

    def may_win() -> bool:
        return refactorization is None or not refactorization.dense

    best = BestWeights(may_win) if config.checkpoint == "best" else None
    patience = None
    if config.trainer.patience:
        patience = _Patience(config.trainer.patience, may_win, config.trainer.factor_epochs)
    watching = (_LastStep(), _Trim(), refactorization, best, patience)
    return best, [callback for callback in watching if callback]


def _trainer(context: RunContext, callbacks: list[Callback]) -> pl.Trainer:
    options, attempt, profile = context.config.trainer, context.attempt, context.profile
    # Inside a Slurm job, Lightning would otherwise mistake the tasks of the job for devices of this training.
    plugins: list[Any] = [LightningEnvironment(), *([StateFiles(attempt.states, attempt.notes)] if attempt else [])]
    trainer = pl.Trainer(
        accelerator=options.accelerator,
        devices=options.devices,
        strategy=_strategy(options),
        precision=options.precision,
        max_epochs=options.epochs,
        max_steps=options.max_steps or -1,
        accumulate_grad_batches=options.accumulate,
        gradient_clip_val=options.gradient_clip,
        callbacks=callbacks,
        plugins=plugins,
        logger=context.loggers,
        profiler=profile.timeline if profile else None,
        log_every_n_steps=10,
        default_root_dir=context.directory,
        # The run saves its own weights and prints its own line.
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=any(isinstance(callback, TQDMProgressBar) for callback in callbacks),
        num_sanity_val_steps=0,
        # The seed decides the batches of the data module; Lightning must not wrap them.
        use_distributed_sampler=False,
        deterministic="warn",
    )
    # Deterministic mode would also fill all uninitialized memory, which only matters to programs that read it.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    return trainer


def _strategy(options: TrainerConfig) -> str:
    """Lightning's name for the way in which the devices train together."""
    if options.devices == 1:
        return "auto"
    return "ddp" if options.strategy == "auto" else options.strategy


class _LastStep(Callback):
    """Makes Lightning score the held-out slice even if ``max_steps`` ends an epoch early."""

    def on_train_batch_end(self, trainer: pl.Trainer, *args: Any) -> None:
        """A trainer that is told to stop scores before it stops."""
        if 0 < trainer.max_steps <= trainer.global_step:
            trainer.should_stop = True


class _Trim(Callback):
    """Returns memory fragmented by batches of many shapes to the system: a tenth of a run's peak on a CPU."""

    EVERY = 25  # steps: less often saves less, more often takes time

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Trim on a CPU only; GPUs have their own allocator."""
        if batch_idx % self.EVERY == 0 and pl_module.device.type == "cpu":
            trim_memory()


class _Patience(EarlyStopping):
    """Stops a training that no longer improves, judged by the epochs that count; the first ones do not."""

    def __init__(self, patience: int, counts: Callable[[], bool], first: int) -> None:
        super().__init__(f"selection/{SELECTED_BY}", patience=patience, mode="min", check_on_train_epoch_end=True)
        self._counts = counts
        self._first = first

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Ignore epochs with a dense table, which say nothing about its factors, and those before the rest thaws."""
        if self._counts() and trainer.current_epoch >= self._first:
            super().on_train_epoch_end(trainer, pl_module)


class _Bar(TQDMProgressBar):
    """One line with the name of the run, which disappears when the run ends."""

    def __init__(self, title: str) -> None:
        super().__init__(refresh_rate=5)
        self._title = title

    def init_train_tqdm(self) -> Any:
        """The bar of an epoch."""
        bar = super().init_train_tqdm()
        bar.set_description(self._title)
        bar.leave = False
        return bar

    def init_validation_tqdm(self) -> Any:
        """The bar of the held-out slice, drawn over that of the epoch: a second line would stay behind, empty."""
        return Tqdm(
            desc=f"{self._title} selection",
            position=0,
            leave=False,
            dynamic_ncols=True,
            file=sys.stdout,
            bar_format=BAR,
        )

    def on_validation_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Start the bar; without Lightning's title, ``Validation DataLoader 0``."""
        if self.has_dataloader_changed(dataloader_idx):
            self.val_progress_bar.reset(int(self.total_val_batches_current_dataloader))

    def on_train_epoch_start(self, trainer: pl.Trainer, *args: Any) -> None:
        """Replace Lightning's title, ``Epoch 0``."""
        super().on_train_epoch_start(trainer, *args)
        epochs = f" {trainer.current_epoch + 1}/{trainer.max_epochs}" if (trainer.max_epochs or 1) > 1 else ""
        self.train_progress_bar.set_description(self._title + epochs)

    def on_exception(self, *_: Any) -> None:
        """Remove the bars, so that the reason does not stand behind one."""
        for bar in (self._val_progress_bar, self._train_progress_bar):
            if bar is not None:
                bar.close()

    def get_metrics(self, *args: Any) -> dict[str, Any]:
        """The loss, without Lightning's version number."""
        metrics = super().get_metrics(*args)
        metrics.pop("v_num", None)
        return {name.removeprefix("train/"): value for name, value in metrics.items()}
