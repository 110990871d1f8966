"""What a training does: optimizer, schedule, loss, order of rows, choice of the epoch, on whatever device."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModelForSequenceClassification

from embfact.config.run_config import RunConfig
from embfact.config.sections import OptimizerConfig
from embfact.data import datamodule
from embfact.data.datamodule import TextDataModule
from embfact.data.tokenized import Tokenized
from embfact.inference.scoring import predict
from embfact.models.compress import compress
from embfact.models.loading import load_backbone
from embfact.tasks import sequence_classification
from embfact.tasks.sequence_classification import SequenceClassification
from embfact.training.context import RunContext
from embfact.training.fit import Fitted, fit
from tests.helpers.run_directories import identity_in

V, WIDTH = 40, 16
OPTIMIZER = OptimizerConfig(name="adamw", lr=1e-3, weight_decay=0.01, warmup_ratio=0.1)


def encoder(outputs: int = 2, **changes: Any) -> Any:
    """A tiny BERT with dropout, its weights from seed 0."""
    shape = {"hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    config = AutoConfig.for_model("bert", vocab_size=V, num_labels=outputs, **(shape | changes))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return AutoModelForSequenceClassification.from_config(config)


def made_up(count: int, seed: int) -> Tokenized:
    """Rows of 3 to 9 tokens whose class is that of their first token."""
    draw = np.random.default_rng(seed)
    lengths = draw.integers(3, 10, count)
    tokens = [draw.integers(4, V, length) for length in lengths]
    labels = np.array([int(row[0] >= V // 2) for row in tokens])
    return Tokenized(np.arange(count), labels, lengths, np.concatenate(tokens), None)


@pytest.fixture
def fine_tune(config: Callable[..., RunConfig], tmp_path: Path) -> Callable[..., Fitted]:
    """Trains a model (by default a tiny BERT) on 40 made-up rows, with 16 held out."""

    def do(*words: str, model: nn.Module | None = None, seed: int = 0) -> Fitted:
        torch.manual_seed(0)
        data = TextDataModule(
            made_up(40, 0), made_up(16, 1), batch_size=8, eval_batch_size=8, seed=seed, pad_token_id=0
        )
        model = encoder() if model is None else model
        try:
            return fit(model, data, RunContext(config(*words), identity_in(tmp_path)))
        finally:
            torch.use_deterministic_algorithms(False)

    return do


# The optimizer


def optimizer_of(model: nn.Module, steps: int = 100) -> tuple[torch.optim.Optimizer, Any]:
    module = SequenceClassification(model, OPTIMIZER, ["accuracy"])
    module.trainer = SimpleNamespace(estimated_stepping_batches=steps)
    made = module.configure_optimizers()
    return made["optimizer"], made["lr_scheduler"]


@pytest.mark.parametrize("method", ["none", "svd", "albert"])
def test_biases_and_norms_do_not_decay_and_all_else_does(method: str, config: Callable[..., RunConfig]) -> None:
    model = encoder()
    compress(model, config(f"factorization={method}").factorization, None if method == "none" else 4)
    optimizer, _ = optimizer_of(model)
    decay = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    names = dict(model.named_parameters())
    assert decay.keys() == {id(p) for p in names.values()}
    spared = {name for name, p in names.items() if decay[id(p)] == 0}
    assert spared == {name for name in names if name.endswith(".bias") or "LayerNorm" in name}
    assert {decay[id(p)] for name, p in names.items() if name not in spared} == {0.01}


def test_the_options_reach_adamw() -> None:
    optimizer, _ = optimizer_of(encoder())
    assert isinstance(optimizer, torch.optim.AdamW)
    assert optimizer.defaults["fused"] is True
    assert {(g["betas"], g["eps"], g["initial_lr"]) for g in optimizer.param_groups} == {((0.9, 0.999), 1e-8, 1e-3)}


@pytest.mark.parametrize("clip", ["1.0", "null"])
def test_gradients_of_mixed_precision_can_be_clipped(clip: str, fine_tune: Callable[..., Fitted]) -> None:
    words = ("trainer.precision=bf16-mixed", f"trainer.gradient_clip={clip}", "checkpoint=last")
    fitted = fine_tune(*words, "trainer.epochs=4")
    assert fitted.history[-1]["loss"] < fitted.history[0]["loss"]


def test_frozen_weights_are_left_out() -> None:
    model = encoder()
    model.get_input_embeddings().weight.requires_grad_(False)
    optimizer, _ = optimizer_of(model)
    assert all(p.requires_grad for group in optimizer.param_groups for p in group["params"])


def test_the_rate_rises_evenly_to_its_highest_and_falls_evenly_to_zero() -> None:
    optimizer, schedule = optimizer_of(nn.Linear(2, 2), steps=50)
    assert schedule["interval"] == "step"
    rates = []
    for _ in range(51):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule["scheduler"].step()
    rise, fall = rates[:6], rates[5:]
    assert rise[0] > 0
    np.testing.assert_allclose(rise, np.linspace(rise[0], 1e-3, 6))
    np.testing.assert_allclose(fall, np.linspace(1e-3, 0, 46), atol=1e-12)


def test_the_schedule_ends_with_the_last_step(fine_tune: Callable[..., Fitted], monkeypatch: Any) -> None:
    rates: list[float] = []
    step = torch.optim.AdamW.step

    def spy(self: torch.optim.AdamW, *args: Any, **kwargs: Any) -> Any:
        rates.append(self.param_groups[0]["lr"])
        return step(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.AdamW, "step", spy)
    fitted = fine_tune("trainer.epochs=4", "trainer.accumulate=2", "checkpoint=last")
    # 5 batches an epoch are 3 steps, the last of a single batch.
    assert fitted.steps == len(rates) == 12
    assert fitted.epochs == 4
    assert max(rates) == pytest.approx(1e-2)
    assert rates[-1] == pytest.approx(1e-2 / 11)


# The loss


def loss_of(logits: torch.Tensor, labels: torch.Tensor, smoothing: float = 0.0) -> torch.Tensor:
    return SequenceClassification(nn.Identity(), OPTIMIZER, ["accuracy"], smoothing).loss(logits, labels)


def test_a_single_output_is_trained_by_squared_error() -> None:
    scores, targets = torch.tensor([[0.5], [2.0], [-1.0]]), torch.tensor([1.0, 2.0, 1.0])
    assert loss_of(scores, targets).item() == pytest.approx((0.25 + 0 + 4) / 3)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_classes_are_trained_by_cross_entropy_with_the_smoothing_spread_over_all(smoothing: float) -> None:
    logits, labels = np.array([[1.0, 2.0, 0.5], [0.0, -1.0, 3.0]]), np.array([0, 2])
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    targets = (1 - smoothing) * np.eye(3)[labels] + smoothing / 3
    expected = -(targets * np.log(probabilities)).sum(axis=1).mean()
    found = loss_of(torch.tensor(logits, dtype=torch.float32), torch.tensor(labels), smoothing)
    assert found.item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("outputs", [1, 3])
def test_the_loss_of_half_precision_is_taken_in_float32(outputs: int) -> None:
    logits = torch.full((4, outputs), 300.0, dtype=torch.float16, requires_grad=True)
    loss = loss_of(logits, torch.zeros(4, dtype=torch.int64))
    assert loss.dtype == torch.float32
    assert torch.isfinite(loss)


def test_smoothing_is_taken_from_the_configuration(fine_tune: Callable[..., Fitted], monkeypatch: Any) -> None:
    found = []
    monkeypatch.setattr(
        SequenceClassification,
        "loss",
        lambda self, logits, labels: found.append(self.label_smoothing) or logits.float().sum(),
    )
    fine_tune("task.label_smoothing=0.2", "trainer.max_steps=1")
    assert set(found) == {0.2}


# The rows and their order


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """The rows of every training batch, and after them those of the next training."""
    batches: list[list[int]] = []
    collate = datamodule.collate

    def spy(rows: Tokenized, indices: list[int], **rest: Any) -> dict[str, torch.Tensor]:
        if len(rows) == 40:
            batches.append(list(indices))
        return collate(rows, indices, **rest)

    monkeypatch.setattr(datamodule, "collate", spy)
    return batches


def test_each_epoch_shows_every_row_once_in_an_order_of_its_own(
    fine_tune: Callable[..., Fitted], shown: list[list[int]]
) -> None:
    fine_tune("trainer.epochs=3", "checkpoint=last")
    epochs = [shown[:5], shown[5:10], shown[10:]]
    assert [sorted(chain(*epoch)) for epoch in epochs] == [list(range(40))] * 3
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]


def test_the_order_is_the_seeds(fine_tune: Callable[..., Fitted], shown: list[list[int]]) -> None:
    for seed in (0, 0, 1):
        fine_tune("trainer.epochs=2", "checkpoint=last", seed=seed)
    first, again, other = shown[:10], shown[10:20], shown[20:]
    assert first == again
    assert first != other


def test_the_same_training_ends_with_the_same_weights(fine_tune: Callable[..., Fitted]) -> None:
    models = [encoder(), encoder()]
    before = models[0].state_dict()["classifier.weight"].clone()
    for model in models:
        fine_tune("trainer.epochs=2", model=model)
    first, again = (model.state_dict() for model in models)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["classifier.weight"], before)


def test_dropout_is_on_in_training_and_off_in_scoring(
    fine_tune: Callable[..., Fitted], monkeypatch: pytest.MonkeyPatch
) -> None:
    spread: dict[bool, list[bool]] = {True: [], False: []}
    logits = SequenceClassification.logits

    def twice(self: SequenceClassification, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        one, two = logits(self, batch), logits(self, batch)
        spread[torch.is_grad_enabled()].append(not torch.equal(one, two))
        return one

    monkeypatch.setattr(SequenceClassification, "logits", twice)
    fine_tune("trainer.epochs=2")
    assert spread[True] == [True] * 10
    assert spread[False] == [False] * 4


def test_a_pretrained_backbone_is_trained_with_its_dropout(config: Callable[..., RunConfig]) -> None:
    # Transformers loads models in evaluation mode, and Lightning leaves them in the mode that they are in.
    model, _ = load_backbone(config("model=minilm").model, num_labels=2, label_names=("a", "b"), dropout=None, seed=0)
    assert all(module.training for module in model.modules())
    assert {module.p for module in model.modules() if isinstance(module, nn.Dropout)} == {0.1}


# The choice of the epoch


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[dict[str, torch.Tensor]]]:
    """Gives the held-out rows of each epoch the loss of a script, and notes the weights that it belongs to."""
    real = sequence_classification.loss_of

    def script(model: nn.Module, *values: float) -> list[dict[str, torch.Tensor]]:
        weights: list[dict[str, torch.Tensor]] = []

        def loss_of(logits: torch.Tensor, labels: torch.Tensor, *smoothing: float) -> torch.Tensor:
            if smoothing:  # of a training step
                return real(logits, labels, *smoothing)
            weights.append({name: tensor.clone() for name, tensor in model.state_dict().items()})
            return torch.tensor(values[len(weights) - 1], dtype=torch.float64)

        monkeypatch.setattr(sequence_classification, "loss_of", loss_of)
        return weights

    return script


def same(model: nn.Module, weights: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(tensor, weights[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize(
    ("values", "best"),
    [
        ([0.5, 0.1, 0.3], 1),
        ([0.1, 0.5, 0.3], 0),
        ([0.5, 0.3, 0.1], 2),
        ([0.3, 0.3, 0.3], 0),
    ],
)
def test_the_weights_of_the_best_epoch_are_put_back(
    values: list[float], best: int, fine_tune: Callable[..., Fitted], scripted: Any
) -> None:
    model = encoder()
    weights = scripted(model, *values)
    fitted = fine_tune("trainer.epochs=3", "checkpoint=best", model=model)
    assert fitted.best_epoch == best
    assert [entry["loss"] for entry in fitted.history] == values
    assert [same(model, epoch) for epoch in weights] == [epoch == best for epoch in range(3)]


@pytest.mark.parametrize("checkpoint", ["last", "none"])
def test_otherwise_the_last_weights_stay(checkpoint: str, fine_tune: Callable[..., Fitted], scripted: Any) -> None:
    model = encoder()
    weights = scripted(model, 0.1, 0.5)
    fitted = fine_tune("trainer.epochs=2", f"checkpoint={checkpoint}", model=model)
    assert (fitted.best_epoch, fitted.value) == (None, None)
    assert same(model, weights[-1])
    assert not same(model, weights[0])


def test_patience_ends_a_training_that_gets_no_better(fine_tune: Callable[..., Fitted], scripted: Any) -> None:
    model = encoder()
    weights = scripted(model, 0.5, 0.1, 0.2, 0.3, 0.4)
    fitted = fine_tune("trainer.epochs=5", "trainer.patience=2", model=model)
    assert fitted.epochs == 4
    assert fitted.best_epoch == 1
    assert same(model, weights[1])


def test_an_epoch_cut_short_by_max_steps_is_scored_too(fine_tune: Callable[..., Fitted], scripted: Any) -> None:
    model = encoder()
    weights = scripted(model, 0.5, 0.1)
    fitted = fine_tune("trainer.epochs=4", "trainer.max_steps=7", model=model)
    assert (fitted.steps, fitted.epochs) == (7, 1.4)
    assert len(weights) == 2
    assert fitted.best_epoch == 1
    assert fitted.value == pytest.approx(0.1)
    assert same(model, weights[1])


def test_a_training_learns_what_can_be_learnt(fine_tune: Callable[..., Fitted]) -> None:
    fitted = fine_tune("trainer.epochs=12", "checkpoint=last")
    losses = [entry["loss"] for entry in fitted.history]
    assert fitted.history[-1]["accuracy"] >= 0.8
    assert losses[-1] < 0.7 * losses[0]


# Scoring, and devices


class Bag(nn.Module):
    """Scores the mean of the vectors of a row's tokens: the same wherever the padding is."""

    def __init__(self) -> None:
        super().__init__()
        self.vectors = nn.Embedding(V, 2)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> SimpleNamespace:
        weights = attention_mask[..., None] / attention_mask.sum(dim=1)[:, None, None]
        return SimpleNamespace(logits=(self.vectors(input_ids) * weights).sum(dim=1))


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("batch_size", [1, 5, 64])
def test_scores_come_in_the_order_of_the_rows_whatever_the_batches(side: str, batch_size: int) -> None:
    rows, model = made_up(23, 2), Bag()
    scores = predict(model, rows, pad_token_id=0, padding_side=side, batch_size=batch_size)
    vectors = model.vectors.weight.detach().numpy()
    np.testing.assert_allclose(scores, [vectors[rows.row(index)].mean(axis=0) for index in range(23)], atol=1e-6)
    assert scores.dtype == np.float32
    assert not model.training


@pytest.mark.parametrize("method", ["none", "svd", "random", "albert"])
def test_a_step_makes_no_tensor_on_another_device_than_the_models(
    method: str, config: Callable[..., RunConfig]
) -> None:
    # The meta device stands for any accelerator: mixing it with CPU tensors fails there too.
    model = encoder()
    compress(model, config(f"factorization={method}").factorization, None if method == "none" else 4)
    module = SequenceClassification(model, OPTIMIZER, ["accuracy"], label_smoothing=0.1).to("meta").train()
    batch = {"input_ids": torch.ones(3, 6, dtype=torch.int64, device="meta")}
    loss = module.loss(module.logits(batch), torch.ones(3, dtype=torch.int64, device="meta"))
    loss.backward()
    assert loss.device.type == "meta"
    assert all(p.grad is not None and p.grad.device.type == "meta" for p in module.parameters())
