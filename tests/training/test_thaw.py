"""trainer.factor_epochs: the rest stays as it was until it thaws, and has no state in the optimizer before."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification

from embfact.config.run_config import RunConfig
from embfact.data.datamodule import TextDataModule
from embfact.data.tokenized import Tokenized
from embfact.errors import UserError
from embfact.models.compress import compress
from embfact.training.context import RunContext
from embfact.training.fit import fit
from tests.helpers.run_directories import identity_in

V = 40


class Watch(pl.Callback):
    """Weights, optimizer states and learning rates at the end of every epoch."""

    def __init__(self) -> None:
        self.weights: list[dict[str, torch.Tensor]] = []
        self.states: list[int] = []
        self.rates: list[float] = []

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.weights.append({name: p.detach().clone() for name, p in pl_module.named_parameters()})

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.weights.append({name: p.detach().clone() for name, p in pl_module.named_parameters()})
        self.states.append(len(trainer.optimizers[0].state))
        self.rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    def moved(self, epoch: int) -> set[str]:
        """Names of the weights that an epoch changed."""
        before, after = self.weights[epoch], self.weights[epoch + 1]
        return {name.removeprefix("model.") for name in before if not torch.equal(before[name], after[name])}


@pytest.fixture
def trained(config: Callable[..., RunConfig], tmp_path: Path) -> Callable[..., tuple[Watch, Any]]:
    def do(*words: str, method: str = "svd") -> tuple[Watch, Any]:
        draw = np.random.default_rng(0)
        lengths = draw.integers(3, 10, 40)
        tokens = draw.integers(4, V, lengths.sum())
        made = Tokenized(np.arange(40), draw.integers(0, 2, 40), lengths, tokens, None)
        shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
        torch.manual_seed(0)
        model = AutoModelForSequenceClassification.from_config(AutoConfig.for_model("bert", vocab_size=V, **shape))
        compress(model, config(f"factorization={method}").factorization, 4)
        data = TextDataModule(made, made, batch_size=8, eval_batch_size=8, seed=0, pad_token_id=0)
        watch = Watch()
        try:
            fit(model, data, RunContext(config(*words), identity_in(tmp_path)), watching=[watch])
        finally:
            torch.use_deterministic_algorithms(False)
        return watch, model

    return do


HEAD = {"classifier.weight", "classifier.bias"}


@pytest.mark.parametrize("method", ["svd", "albert"])
def test_the_rest_stays_until_it_thaws(method: str, trained: Callable[..., tuple[Watch, Any]]) -> None:
    words = ("trainer.epochs=4", "trainer.factor_epochs=2", "checkpoint=last")
    watch, model = trained(*words, method=method)
    embedding = {
        "svd": {f"bert.embeddings.word_embeddings.{part}.weight" for part in ("factors", "projection")},
        "albert": {"bert.embeddings.block.word_embeddings.weight"}
        | {f"bert.embeddings.projection.{part}" for part in ("weight", "bias")},
    }[method]
    assert watch.moved(0) == watch.moved(1) == embedding | HEAD
    assert watch.moved(2) > embedding | HEAD | {"bert.encoder.layer.0.output.dense.weight", "bert.pooler.dense.weight"}
    assert watch.states[:2] == [len(embedding | HEAD)] * 2
    assert watch.states[2] > watch.states[1]
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_the_schedule_of_the_learning_rate_is_that_of_any_training(
    trained: Callable[..., tuple[Watch, Any]],
) -> None:
    words = ("trainer.epochs=4", "checkpoint=last")
    assert trained(*words)[0].rates == trained(*words, "trainer.factor_epochs=2")[0].rates


def test_patience_counts_from_the_thaw(trained: Callable[..., tuple[Watch, Any]]) -> None:
    # Held-out loss does not improve at such a rate; without factors first, two epochs are enough to see that.
    words = ("trainer.epochs=6", "trainer.patience=1", "optimizer.lr=1e-30", "checkpoint=last")
    assert len(trained(*words)[0].states) == 2
    assert len(trained(*words, "trainer.factor_epochs=3")[0].states) == 5


def test_a_training_that_is_too_short_to_thaw_is_refused(trained: Callable[..., tuple[Watch, Any]]) -> None:
    with pytest.raises(UserError, match="factor_epochs=1 are 5 steps, and the training has 5, so the rest would never"):
        trained("trainer.epochs=2", "trainer.factor_epochs=1", "trainer.max_steps=5")
