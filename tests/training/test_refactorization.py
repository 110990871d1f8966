"""Training that starts dense and ends with factors: when, to what, with which optimizer state, and what is reported."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModelForSequenceClassification

from embfact.config.rank_schedule import Projection
from embfact.config.run_config import RunConfig
from embfact.config.sections import OptimizerConfig, RefactorizeConfig
from embfact.data.datamodule import TextDataModule
from embfact.data.tokenized import Tokenized
from embfact.embeddings.low_rank import LowRankEmbedding
from embfact.errors import UserError
from embfact.factorization.base import Evidence
from embfact.models.compress import compress
from embfact.tasks import sequence_classification
from embfact.tasks.sequence_classification import SequenceClassification
from embfact.training.context import RunContext
from embfact.training.fit import Fitted, fit
from embfact.training.refactorization import Refactorization
from tests.helpers.run_directories import identity_in

V, WIDTH, RANK = 40, 16, 4
COUNTS = Evidence(token_counts=torch.arange(1.0, V + 1, dtype=torch.float64))


def encoder() -> Any:
    shape = {"hidden_size": WIDTH, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    config = AutoConfig.for_model("bert", vocab_size=V, num_labels=2, **shape)
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


def table_of(model: Any) -> np.ndarray:
    embedding = model.get_input_embeddings()
    return (embedding.dense() if isinstance(embedding, LowRankEmbedding) else embedding.weight).detach().numpy()


@pytest.fixture
def train_dense(config: Callable[..., RunConfig], tmp_path: Path) -> Callable[..., tuple[Any, Fitted]]:
    """Trains a tiny BERT on 40 made-up rows (5 batches an epoch), with 16 held out, from dense to rank 4."""

    def do(*words: str, evidence: Evidence = COUNTS, model: Any = None) -> tuple[Any, Fitted]:
        torch.manual_seed(0)
        options, model = config(*words), encoder() if model is None else model
        data = TextDataModule(made_up(40, 0), made_up(16, 1), batch_size=8, eval_batch_size=8, seed=0, pad_token_id=0)
        method: Any = options.factorization
        swap = partial(compress, model, method, RANK, evidence=evidence)
        refactorization = Refactorization(options.refactorize, method, RANK, swap, evidence=evidence)
        try:
            return model, fit(model, data, RunContext(options, identity_in(tmp_path)), refactorization)
        finally:
            torch.use_deterministic_algorithms(False)

    return do


def after(steps: int, *words: str) -> list[str]:
    return ["refactorize=every_n_steps", f"refactorize.steps={steps}", *words]


# What a projection does


def driven(method: Any, model: Any, *, every: int, until: float, steps: int) -> tuple[Refactorization, Any, Any]:
    """A refactorization whose training is done by the test, and the trainer and module that it is told of."""
    options = RefactorizeConfig(every="steps", steps=every, until=until)
    swap = partial(compress, model, method, RANK, evidence=COUNTS)
    optimizer_config = OptimizerConfig(name="adamw", lr=1e-2, embedding_lr=3.0, weight_decay=0.01, warmup_ratio=0.1)
    module: Any = SequenceClassification(model, optimizer_config, ["accuracy"])
    optimizer = torch.optim.AdamW(module.parameter_groups())
    trainer = SimpleNamespace(
        num_training_batches=steps,
        accumulate_grad_batches=1,
        estimated_stepping_batches=steps,
        optimizers=[optimizer],
        global_step=0,
    )
    refactorization = Refactorization(options, method, RANK, swap, evidence=COUNTS)
    refactorization.on_train_start(trainer, module)
    return refactorization, trainer, module


@pytest.mark.parametrize("name", ["svd", "weighted_svd"])
def test_each_projection_is_the_methods_own_of_the_table_as_it_is_then(
    name: str, config: Callable[..., RunConfig]
) -> None:
    method: Any = config(f"factorization={name}").factorization
    model, draw = encoder(), np.random.default_rng(0)
    refactorization, trainer, module = driven(method, model, every=2, until=1.0, steps=4)
    weights = np.sqrt(COUNTS.token_counts.numpy())[:, None] if name == "weighted_svd" else np.ones((V, 1))
    for step, rank in ((2, 8), (4, 4)):
        noise = draw.normal(size=(V, WIDTH), scale=0.1).astype(np.float32)
        model.get_input_embeddings().weight.data += torch.from_numpy(noise)
        before = table_of(model).astype(np.float64)
        trainer.global_step = step - 1
        refactorization.on_train_batch_end(trainer, module)
        np.testing.assert_array_equal(table_of(model), before.astype(np.float32))
        trainer.global_step = step
        refactorization.on_train_batch_end(trainer, module)
        axes = np.linalg.svd(weights * before)[2][:rank]
        np.testing.assert_allclose(table_of(model), before @ axes.T @ axes, atol=1e-6)
        assert refactorization.dense == (step < 4)
        refactorization.on_train_batch_end(trainer, module)  # the next batch of an accumulated step
    assert isinstance(model.get_input_embeddings(), LowRankEmbedding)
    assert refactorization.done == [Projection(2, 8), Projection(4, 4)]


def test_moments_stay_while_the_table_is_dense(config: Callable[..., RunConfig]) -> None:
    model, draw = encoder(), torch.Generator().manual_seed(0)
    refactorization, trainer, module = driven(config().factorization, model, every=1, until=1.0, steps=2)
    (optimizer,), table = trainer.optimizers, model.get_input_embeddings().weight
    table.grad = torch.randn(V, WIDTH, generator=draw)
    optimizer.step()
    before = {name: value.clone() for name, value in optimizer.state[table].items()}
    trainer.global_step = 1
    refactorization.on_train_batch_end(trainer, module)
    assert model.get_input_embeddings().weight is table
    assert np.linalg.matrix_rank(table_of(model), tol=1e-5) == 8
    assert all(torch.equal(value, before[name]) for name, value in optimizer.state[table].items())


def test_moments_are_translated_when_factors_take_the_tables_place(config: Callable[..., RunConfig]) -> None:
    model, draw = encoder(), torch.Generator().manual_seed(0)
    refactorization, trainer, module = driven(config().factorization, model, every=1, until=1.0, steps=1)
    (optimizer,), table = trainer.optimizers, model.get_input_embeddings().weight
    table.grad = torch.randn(V, WIDTH, generator=draw)
    optimizer.step()
    m, v = optimizer.state[table]["exp_avg"].double(), optimizer.state[table]["exp_avg_sq"].double()
    trainer.global_step = 1
    refactorization.on_train_batch_end(trainer, module)
    embedding = model.get_input_embeddings()
    a, b = embedding.factors.weight, embedding.projection.weight
    for weight, first, second in (
        (a, m @ b.double().T, v @ b.double().square().T),
        (b, a.double().T @ m, a.double().square().T @ v),
    ):
        torch.testing.assert_close(optimizer.state[weight]["exp_avg"].double(), first, atol=1e-6, rtol=1e-4)
        torch.testing.assert_close(optimizer.state[weight]["exp_avg_sq"].double(), second, atol=1e-9, rtol=1e-4)
    assert table not in optimizer.state


@pytest.mark.parametrize("decay", [0.01, 0.0])
def test_factors_go_to_the_groups_of_what_replaced_the_table(decay: float, config: Callable[..., RunConfig]) -> None:
    model = encoder()
    refactorization, trainer, module = driven(
        config("factorization.center=true").factorization, model, every=1, until=1.0, steps=1
    )
    module.options = module.options.model_copy(update={"weight_decay": decay})
    (optimizer,) = trainer.optimizers
    table, before = model.get_input_embeddings().weight, [list(group["params"]) for group in optimizer.param_groups]
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (step + 1))
    trainer.global_step = 1
    refactorization.on_train_batch_end(trainer, module)
    embedding = model.get_input_embeddings()
    plain, spared, factors, mean = (group["params"] for group in optimizer.param_groups)
    assert same(plain, [parameter for parameter in before[0] if parameter is not table])
    assert same(spared, before[1])
    assert same(factors, [embedding.factors.weight, embedding.projection.weight])
    assert same(mean, [embedding.mean])
    # As an optimizer is made for a training that is resumed.
    assert all(
        same(group["params"], now["params"])
        for group, now in zip(optimizer.param_groups, module.parameter_groups(), strict=True)
    )
    optimizer.step()
    schedule.step()
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.005, 0.005, 0.015, 0.015])


def same(parameters: Sequence[Any], others: Sequence[Any]) -> bool:
    return list(map(id, parameters)) == list(map(id, others))


def test_a_compiled_model_goes_on_with_the_factors(config: Callable[..., RunConfig]) -> None:
    model, ids = encoder().eval(), torch.arange(8).view(2, 4)
    refactorization, trainer, module = driven(config().factorization, model, every=1, until=1.0, steps=2)
    model.compile(backend="eager")
    for step in (0, 1, 2):
        trainer.global_step = step
        refactorization.on_train_batch_end(trainer, module)
        loss = model(ids).logits.square().sum()
        torch.testing.assert_close(loss, model.forward(ids).logits.square().sum())
        (gradient,) = torch.autograd.grad(loss, [next(model.get_input_embeddings().parameters())])
        assert gradient.shape == ((V, RANK) if step == 2 else (V, WIDTH))
        assert gradient.abs().max() > 0


def test_a_rank_that_does_not_shrink_the_table_is_refused_before_the_first_step(
    config: Callable[..., RunConfig],
) -> None:
    method: Any = config().factorization
    refactorization = Refactorization(RefactorizeConfig(every="epoch", until=1), method, WIDTH, lambda: None)
    trainer = SimpleNamespace(num_training_batches=4, accumulate_grad_batches=1, estimated_stepping_batches=4)
    with pytest.raises(ValueError, match="does not shrink a 40 x 16 table"):
        refactorization.on_train_start(trainer, SimpleNamespace(model=encoder()))  # type: ignore[arg-type]


# A whole training


def test_epochs_and_steps_are_counted_in_optimizer_steps(train_dense: Callable[..., tuple[Any, Fitted]]) -> None:
    for words, expected in (
        (["refactorize=every_epoch", "trainer.epochs=4", "trainer.accumulate=2"], [(3, 8), (6, 4)]),
        (["refactorize=every_epoch", "trainer.epochs=1", "refactorize.until=1"], [(5, 4)]),
        (after(3, "trainer.epochs=9", "trainer.max_steps=12", "refactorize.until=0.8"), [(3, 10), (6, 6), (9, 4)]),
        (after(1, "trainer.epochs=2", "trainer.accumulate=3"), [(1, 8), (2, 4)]),
    ):
        model, fitted = train_dense(*words)
        assert [(projection.step, projection.rank) for projection in fitted.projections or []] == expected
        assert model.get_input_embeddings().rank == RANK
        assert model.config.embfact["embedding"]["class"] == "low_rank"
        assert np.linalg.matrix_rank(table_of(model)) == RANK


def test_the_factors_are_trained_after_the_last_projection(train_dense: Callable[..., tuple[Any, Fitted]]) -> None:
    at_swap: list[dict[str, torch.Tensor]] = []

    class Watched(Refactorization):
        def _replace(self, trainer: Any, module: Any, projection: Projection) -> None:
            super()._replace(trainer, module, projection)
            at_swap.append({name: tensor.clone() for name, tensor in module.model.state_dict().items()})

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(globals(), "Refactorization", Watched)
        model, _ = train_dense(*after(3, "checkpoint=last", "trainer.epochs=2"))
    (before,) = at_swap
    assert not [name for name, parameter in model.named_parameters() if torch.equal(parameter, before[name])]


def test_rates_and_clipping_go_on_with_the_factors(
    train_dense: Callable[..., tuple[Any, Fitted]], monkeypatch: pytest.MonkeyPatch
) -> None:
    rates: list[float] = []
    clipped: list[set[tuple[int, ...]]] = []
    step, clip = torch.optim.AdamW.step, nn.utils.clip_grad_norm_

    def spy_step(self: torch.optim.AdamW, *args: Any, **kwargs: Any) -> Any:
        rates.append(self.param_groups[0]["lr"])
        return step(self, *args, **kwargs)

    def spy_clip(parameters: Any, *args: Any, **kwargs: Any) -> Any:
        parameters = list(parameters)
        clipped.append({tuple(parameter.shape) for parameter in parameters if parameter.grad is not None})
        return clip(parameters, *args, **kwargs)

    monkeypatch.setattr(torch.optim.AdamW, "step", spy_step)
    monkeypatch.setattr(nn.utils, "clip_grad_norm_", spy_clip)
    train_dense(*after(4, "trainer.epochs=2", "optimizer.warmup_ratio=0"))
    np.testing.assert_allclose(rates, np.linspace(1e-2, 0, 11)[:10])
    assert [(V, WIDTH) in shapes for shapes in clipped] == [True] * 4 + [False] * 6
    assert [(V, RANK) in shapes and (RANK, WIDTH) in shapes for shapes in clipped] == [False] * 4 + [True] * 6


def test_only_the_table_and_its_factors_are_trained_where_that_is_asked_for(
    train_dense: Callable[..., tuple[Any, Fitted]],
) -> None:
    before = encoder().state_dict()
    model, fitted = train_dense(*after(3, "trainable=factors", "checkpoint=last", "trainer.epochs=2"))
    changed = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before.get(name, tensor))}
    assert changed == {"classifier.weight", "classifier.bias"}
    plain = table_of(encoder())
    axes = np.linalg.svd(plain)[2][:RANK]
    # The dense table was trained before it was projected, and the factors after it.
    assert np.abs(table_of(model) - plain @ axes.T @ axes).max() > 1e-3
    assert len(fitted.projections or []) == 1


def test_the_same_training_ends_with_the_same_weights(train_dense: Callable[..., tuple[Any, Fitted]]) -> None:
    first, again = (train_dense(*after(2, "trainer.epochs=2"))[0].state_dict() for _ in range(2))
    assert all(torch.equal(first[name], again[name]) for name in first)


# What is selected and reported


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Gives the held-out rows of each epoch the loss of a script."""
    real = sequence_classification.loss_of

    def script(*values: float) -> None:
        left = [torch.tensor(value, dtype=torch.float64) for value in values]
        # Training steps pass a smoothing too.
        monkeypatch.setattr(sequence_classification, "loss_of", lambda *args: real(*args) if args[2:] else left.pop(0))

    return script


def test_an_epoch_that_ended_dense_is_never_the_best(
    train_dense: Callable[..., tuple[Any, Fitted]], scripted: Callable[..., None]
) -> None:
    scripted(0.01, 0.4, 0.3, 0.35)
    model, fitted = train_dense("refactorize=every_epoch", "trainer.epochs=4")
    # The second epoch ends with the swap, and is scored with the factors.
    assert (fitted.best_epoch, fitted.value) == (2, 0.3)
    assert [entry["loss"] for entry in fitted.history] == [0.01, 0.4, 0.3, 0.35]
    assert model.get_input_embeddings().rank == RANK


def test_the_epoch_that_ends_with_the_swap_can_be_the_best(
    train_dense: Callable[..., tuple[Any, Fitted]], scripted: Callable[..., None]
) -> None:
    scripted(0.01, 0.1, 0.3, 0.35)
    model, fitted = train_dense("refactorize=every_epoch", "trainer.epochs=4")
    assert fitted.best_epoch == 1
    assert np.linalg.matrix_rank(table_of(model)) == RANK


def test_patience_does_not_judge_by_epochs_that_ended_dense(
    train_dense: Callable[..., tuple[Any, Fitted]], scripted: Callable[..., None]
) -> None:
    scripted(0.1, 0.2, 0.3, 0.5, 0.6, 0.7)
    options = ["refactorize=every_epoch", "trainer.epochs=6", "trainer.patience=1"]
    _, fitted = train_dense(*options)
    # Factors from the third epoch on: its value is the first that counts, and the next is worse.
    assert fitted.epochs == 4
    assert fitted.best_epoch == 2


def test_a_training_that_something_ends_early_leaves_no_dense_table(
    train_dense: Callable[..., tuple[Any, Fitted]], monkeypatch: pytest.MonkeyPatch
) -> None:
    step = sequence_classification.SequenceClassification.training_step

    def stop(self: Any, batch: Any, index: int) -> Any:
        self.trainer.should_stop = True
        return step(self, batch, index)

    monkeypatch.setattr(sequence_classification.SequenceClassification, "training_step", stop)
    model, fitted = train_dense("refactorize=every_epoch", "trainer.epochs=6")
    assert fitted.projections == [Projection(1, RANK)]
    assert model.get_input_embeddings().rank == RANK
    assert (fitted.best_epoch, fitted.value) == (None, None)


def test_a_training_too_short_for_a_projection_is_refused_before_its_first_step(
    train_dense: Callable[..., tuple[Any, Fitted]],
) -> None:
    model = encoder()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(UserError, match=r"no projection within the first 0\.5 of 10 optimizer steps"):
        train_dense(*after(6, "trainer.epochs=2"), model=model)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
