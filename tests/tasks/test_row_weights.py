"""Each row of an epoch counts once, however rows fall on batches, devices and steps."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import Logger
from transformers import AutoConfig, AutoModelForSequenceClassification

from embfact.config.sections import OptimizerConfig
from embfact.data.datamodule import TextDataModule
from embfact.data.tokenized import Tokenized
from embfact.tasks.sequence_classification import SequenceClassification

V, ROWS = 40, 45
BATCHES = {"rows": 6, "tokens": 6}  # of 8 rows: the last one of 5, or of 2 to 23 rows


def rows(outputs: int) -> Tokenized:
    """Rows of 2 to 60 tokens, most of them short; their labels go with the length, so that weights matter."""
    draw = np.random.default_rng(0)
    lengths = np.sort(np.r_[draw.integers(2, 6, 33), draw.integers(30, 60, 12)])
    labels = (np.arange(ROWS) >= 33).astype(np.int64) if outputs > 1 else np.linspace(0, 3, ROWS)
    return Tokenized(np.arange(ROWS), labels, lengths, draw.integers(4, V, lengths.sum()), None)


def model(outputs: int) -> Any:
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    still = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    torch.manual_seed(0)
    config = AutoConfig.for_model("bert", vocab_size=V, num_labels=outputs, **shape, **still)
    return AutoModelForSequenceClassification.from_config(config)


class Gradients(Callback):
    """The gradient that the optimizer is given at each step."""

    def __init__(self) -> None:
        self.steps: list[torch.Tensor] = []

    def on_before_optimizer_step(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: Any) -> None:
        self.steps.append(torch.cat([p.grad.flatten().clone() for p in pl_module.parameters() if p.grad is not None]))


class Losses(Logger):
    """The training losses that loggers are given."""

    name = version = None

    def __init__(self) -> None:
        super().__init__()
        self.found: list[float] = []

    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        self.found += [metrics[name] for name in metrics if name == "train/loss"]

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None: ...


def train(
    folder: Path,
    *,
    batch_size: int = 8,
    batching: Any = "rows",
    accumulate: int,
    place: tuple[int, int] = (0, 1),
    outputs: int = 2,
    smoothing: float = 0.0,
    precision: Any = "32-true",
    watching: Callback | None = None,
) -> tuple[torch.Tensor, list[float]]:
    """One epoch of the share that one of several devices has: the sum of its gradients, and the losses told."""
    data = TextDataModule(
        rows(outputs), None, batch_size=batch_size, batching=batching, eval_batch_size=8, seed=0, pad_token_id=0
    )
    data.trainer = SimpleNamespace(global_rank=place[0], world_size=place[1])  # type: ignore[assignment]
    # So small that the weights stay as they are.
    optimizer = OptimizerConfig(name="adamw", lr=1e-30, weight_decay=0.0, warmup_ratio=0.0)
    gradients, losses = Gradients(), Losses()
    trainer = pl.Trainer(
        max_epochs=1,
        accelerator="cpu",
        precision=precision,
        accumulate_grad_batches=accumulate,
        callbacks=[gradients, *([watching] if watching else [])],
        logger=losses,
        log_every_n_steps=1,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )
    module = SequenceClassification(model(outputs), optimizer, ["accuracy"], smoothing)
    trainer.fit(module, train_dataloaders=data.train_dataloader())
    return torch.stack(gradients.steps).sum(0) * accumulate, losses.found


KINDS = [
    pytest.param({}, id="classes"),
    pytest.param({"smoothing": 0.3}, id="smoothing"),
    pytest.param({"outputs": 1}, id="regression"),
    pytest.param({"precision": "bf16-mixed"}, id="bf16"),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("accumulate", [1, 4, 6])
@pytest.mark.parametrize("batching", BATCHES)
def test_an_epoch_has_the_gradient_of_one_batch_of_all_rows(
    batching: str, accumulate: int, kind: dict[str, Any], tmp_path: Path
) -> None:
    whole, _ = train(tmp_path, batch_size=ROWS, accumulate=1, **kind)
    found, _ = train(tmp_path, batching=batching, accumulate=accumulate, **kind)
    near = 0.05 if "precision" in kind else 1e-4
    assert (found / BATCHES[batching] - whole).norm() < near * whole.norm()


@pytest.mark.parametrize("world", [2, 3, 12])  # of 12 devices some have no row of a small batch
@pytest.mark.parametrize("batching", BATCHES)
def test_the_shares_of_several_devices_have_it_in_the_mean(batching: str, world: int, tmp_path: Path) -> None:
    whole, _ = train(tmp_path, batch_size=ROWS, accumulate=1)
    shares = [train(tmp_path, batching=batching, accumulate=1, place=(rank, world))[0] for rank in range(world)]
    assert (torch.stack(shares).mean(0) / BATCHES[batching] - whole).norm() < 1e-4 * whole.norm()


class Expected(Callback):
    """The mean loss of the rows of each batch, computed apart."""

    def __init__(self) -> None:
        self.losses: list[float] = []

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        with torch.no_grad():
            logits = pl_module.model(batch["input_ids"], attention_mask=batch["attention_mask"]).logits.double()
        chosen = logits.log_softmax(-1).gather(1, batch["labels"][:, None])
        self.losses.append(-float(chosen.mean()))


@pytest.mark.parametrize("batching", BATCHES)
def test_the_loss_that_is_told_is_the_mean_of_a_row(batching: str, tmp_path: Path) -> None:
    expected = Expected()
    _, losses = train(tmp_path, batching=batching, accumulate=1, watching=expected)
    assert len(losses) == 6
    np.testing.assert_allclose(losses, expected.losses, rtol=1e-5)
