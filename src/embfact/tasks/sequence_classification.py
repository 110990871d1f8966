"""Fine-tuning of a classifier (or a regressor) of texts and pairs of texts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 (torch's own name for it)

from embfact.config.sections import OptimizerConfig
from embfact.errors import DivergedError
from embfact.models.trainable import replacement
from embfact.tasks.distillation import Distillation
from embfact.tasks.metrics import score

NOT_INPUTS = ("labels", "weight", "teacher")  # of a batch, what is not for the model
SELECTED_BY = "loss"
"""The held-out value that selects, the lowest: unlike accuracy it sees every change of a logit."""


def loss_of(logits: torch.Tensor, labels: torch.Tensor, smoothing: float = 0.0) -> torch.Tensor:
    """Cross-entropy of classes, or mean squared error of targets (one output): a scalar in float32."""
    if logits.shape[-1] == 1:
        return F.mse_loss(logits.float().squeeze(-1), labels.float())
    return F.cross_entropy(logits.float(), labels, label_smoothing=smoothing)


class SequenceClassification(pl.LightningModule):
    """Trains a sequence classifier and scores it on the held-out slice after every epoch.

    Args:
        model: A Hugging Face sequence classifier; one output means regression.
        optimizer: Learning rate, decay and warm-up.
        metrics: Names of the metrics to score the held-out slice with.
        label_smoothing: Share of the target spread over all classes.
        distillation: What the training learns from another model; None to learn from labels alone.
        fused: Take a step with one kernel, which unscales 16-bit gradients within the step, too late for clipping.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: OptimizerConfig,
        metrics: Sequence[str],
        label_smoothing: float = 0.0,
        distillation: Distillation | None = None,
        fused: bool = True,
    ) -> None:
        super().__init__()
        self.model = model
        self.options = optimizer
        self.metrics = metrics
        self.label_smoothing = label_smoothing
        self.distillation = distillation
        self.fused = fused
        self.history: list[dict[str, Any]] = []
        self._held_out: list[tuple[torch.Tensor, torch.Tensor]] = []

    def logits(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Scores ``(batch, classes)``, or ``(batch, 1)`` for regression."""
        inputs = {key: value for key, value in batch.items() if key not in NOT_INPUTS}
        return self.model(**inputs).logits

    def loss(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """The loss to train with, labels smoothed: a scalar in float32."""
        return loss_of(logits, labels, self.label_smoothing)

    def training_step(self, batch: dict[str, torch.Tensor], index: int) -> dict[str, Any]:
        """One step; the mean loss of a row goes to the loggers every ``log_every_n_steps``.

        Returns:
            ``loss``, weighted so that each row of an epoch counts once; its gradients are those of this device's share,
            which Lightning averages. ``logged``: the mean loss over the rows of the whole batch, equal on every device,
            so that all stop if it is not a number; and the learning rates of the step.
        """
        loss = self._loss(batch) * batch["weight"]
        parts = torch.stack([loss.detach(), batch["weight"]])
        total, weight = self.trainer.strategy.reduce(parts, reduce_op="mean")
        row_loss, rates = total / weight, self._rates()
        self.log("train/loss", row_loss, batch_size=len(batch["labels"]), prog_bar=True)
        self.log_dict(rates, batch_size=len(batch["labels"]))
        return {"loss": loss, "logged": {"train/loss": row_loss, **rates}}

    def _loss(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        if self.distillation is None:
            return self.loss(self.logits(batch), batch["labels"])
        self.distillation.watch(self.model)
        logits = self.logits(batch)
        return self.distillation.loss(self.loss(logits, batch["labels"]), logits, batch)

    def on_train_end(self) -> None:
        """Leave the model as it is for others."""
        if self.distillation:
            self.distillation.release()

    def _rates(self) -> dict[str, float]:
        """The current learning rates; that of the weights that replaced the table, if there are any."""
        plain, _, replaced, spared = self.trainer.optimizers[0].param_groups
        own = {"optimizer/embedding_lr": replaced["lr"]} if replaced["params"] or spared["params"] else {}
        return {"optimizer/lr": plain["lr"], **own}

    def on_validation_start(self) -> None:
        """Free the gradients of a finished step: scoring needs their memory."""
        if self.trainer.accumulate_grad_batches == 1:
            self.zero_grad()

    def validation_step(self, batch: dict[str, torch.Tensor], index: int) -> None:
        """Keep the scores of the held-out slice: metrics such as Matthews are not means over batches."""
        self._held_out.append((self.logits(batch).float().cpu(), batch["labels"].cpu()))

    def on_validation_epoch_end(self) -> None:
        """Score the held-out slice as a whole."""
        logits = torch.cat([scores for scores, _ in self._held_out])
        labels = torch.cat([targets for _, targets in self._held_out])
        self._held_out.clear()
        if not torch.isfinite(logits).all():
            raise DivergedError(
                f"the scores of the held-out rows are not finite after step {self.global_step}; lower optimizer.lr"
            )
        values: dict[str, Any] = dict(score(self.metrics, logits.numpy(), labels.numpy()))
        values["loss"] = loss_of(logits, labels).item()  # not smoothed, so that runs can be compared
        self.history.append({"epoch": self.current_epoch, **values})
        defined = {f"selection/{name}": value for name, value in values.items() if value is not None}
        self.log_dict(defined, prog_bar=False)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save the held-out metrics, so that a resumed run keeps its history."""
        checkpoint["history"] = self.history

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore them."""
        self.history = list(checkpoint["history"])

    def parameter_groups(self) -> list[dict[str, Any]]:
        """The trained weights: biases and norms do not decay, weights that replaced the table have their own rate.

        There are always four groups, possibly empty: a table can become factors during a training.
        """
        o, own = self.options, replacement(self.model)
        trained = [p for p in self.model.parameters() if p.requires_grad]
        return [
            {"params": [p for p in trained if (p in own) == replaced and (p.ndim > 1) == decays], "lr": lr} | decay
            for replaced, lr in ((False, o.lr), (True, o.lr * o.embedding_lr))
            for decays, decay in ((True, {"weight_decay": o.weight_decay}), (False, {"weight_decay": 0.0}))
        ]

    def configure_optimizers(self) -> Any:
        """AdamW; warm-up, then linear decay to 0 over all steps, for all groups alike."""
        o = self.options
        optimizer = torch.optim.AdamW(
            self.parameter_groups(), lr=o.lr, betas=o.betas, eps=o.eps, fused=self.fused or None
        )
        total = int(self.trainer.estimated_stepping_batches)
        warmup = int(o.warmup_ratio * total)

        def factor(step: int) -> float:
            return (step + 1) / (warmup + 1) if step < warmup else max(0.0, (total - step) / max(1, total - warmup))

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class BestWeights(pl.Callback):
    """Keeps the weights of the epoch with the lowest held-out loss, the earliest of equals.

    Args:
        counts: Whether the current epoch may be chosen; None allows all.

    Attributes:
        epoch: Index of the best epoch, or None before the first.
        value: Its loss.
    """

    def __init__(self, counts: Callable[[], bool] | None = None) -> None:
        self.counts = counts
        self.epoch: int | None = None
        self.value = math.inf
        self._weights: dict[str, torch.Tensor] | None = None

    def state_dict(self) -> dict[str, Any]:
        """The best epoch so far and its weights."""
        return {"epoch": self.epoch, "value": float(self.value), "weights": self._weights}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from there."""
        self.epoch, self.value, self._weights = state_dict["epoch"], state_dict["value"], state_dict["weights"]

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Copy the weights if this epoch is better than all before."""
        if trainer.sanity_checking or (self.counts and not self.counts()):
            return
        value = float(trainer.callback_metrics[f"selection/{SELECTED_BY}"])
        if self.epoch is None or value < self.value:
            self.epoch, self.value = trainer.current_epoch, value
            last = trainer.max_epochs is not None and trainer.current_epoch + 1 == trainer.max_epochs
            # The weights of the last epoch are in the model already.
            self._weights = None if last else {k: v.detach().cpu().clone() for k, v in _weights(pl_module).items()}

    def restore(self, module: SequenceClassification) -> None:
        """Put the best weights back into the model."""
        if self._weights is not None:
            module.model.load_state_dict(self._weights)


def _weights(module: pl.LightningModule) -> dict[str, torch.Tensor]:
    return module.model.state_dict()  # type: ignore[union-attr]
