"""Epochs for what replaced the table alone, before the rest of the model is trained too."""

from __future__ import annotations

import logging

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.strategies import DDPStrategy
from transformers import PreTrainedModel

from embfact.errors import UserError
from embfact.models.trainable import frozen

log = logging.getLogger(__name__)


class Thaw(Callback):
    """Trains only the token embedding and the head in the first epochs, then all weights.

    The optimizer has all weights from the start, and skips those without a gradient: their moments and their bias
    correction begin when they thaw. The learning rate follows one schedule over all epochs.

    Args:
        model: The model, with everything that is to be trained in the end.
        epochs: Number of epochs before the rest thaws.
    """

    def __init__(self, model: PreTrainedModel, epochs: int) -> None:
        self.epochs = epochs
        self._rest = [parameter for parameter in frozen(model, "factors") if parameter.requires_grad]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Freeze the rest, unless a resumed training is past that.

        Raises:
            UserError: If there is no rest, or the training ends before it would thaw.
        """
        if not self._rest:
            raise UserError(
                f"trainer.factor_epochs={self.epochs} has nothing to thaw: this model is a token table and a head; "
                "leave it out"
            )
        steps_per_epoch = -(-int(trainer.num_training_batches) // trainer.accumulate_grad_batches)
        steps = int(trainer.estimated_stepping_batches)
        if steps <= self.epochs * steps_per_epoch:
            raise UserError(
                f"trainer.factor_epochs={self.epochs} are {self.epochs * steps_per_epoch} steps, and the training has "
                f"{steps}, so the rest would never thaw; raise trainer.max_steps, or use trainable=factors"
            )
        self._set(trainer)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Thaw the rest when it is time."""
        self._set(trainer)

    def _set(self, trainer: pl.Trainer) -> None:
        alone = trainer.current_epoch < self.epochs
        if self._rest[0].requires_grad is not alone:
            return
        log.info("epoch %d trains %s", trainer.current_epoch + 1, "the embedding and the head" if alone else "all")
        for parameter in self._rest:
            parameter.requires_grad_(not alone)
        if isinstance(trainer.strategy, DDPStrategy):
            # It waits for the gradients of what was trainable when it wrapped the model: let it wrap it again.
            trainer.strategy.model = trainer.strategy.lightning_module
            trainer.strategy.configure_ddp()
