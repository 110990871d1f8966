"""The loss of a student against the formulas written out, and each row of an epoch counted once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch.nn import functional as F
from transformers import AutoConfig, AutoModelForSequenceClassification

from embfact.config.sections import OptimizerConfig, TaskConfig
from embfact.data.datamodule import TextDataModule
from embfact.data.tokenized import Tokenized
from embfact.factorization.svd import SVD
from embfact.models.compress import compress
from embfact.tasks.distillation import Distillation, logit_loss
from embfact.tasks.sequence_classification import SequenceClassification

V, H, ROWS, T = 40, 16, 45, 3.0


def rows(outputs: int) -> Tokenized:
    draw = np.random.default_rng(0)
    lengths = np.r_[draw.integers(2, 6, 33), draw.integers(30, 60, 12)]
    labels = draw.integers(0, 2, ROWS) if outputs > 1 else draw.normal(size=ROWS)
    return Tokenized(np.arange(ROWS), labels, lengths, draw.integers(4, V, lengths.sum()), None)


def small(kind: str, outputs: int) -> Any:
    shapes = {
        "bert": {"hidden_size": H, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
        | {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0},
        "bart": {"d_model": H, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2}
        | {"decoder_attention_heads": 2, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "scale_embedding": True}
        | {"dropout": 0.0, "pad_token_id": 0, "eos_token_id": 2, "decoder_start_token_id": 2},
    }
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, vocab_size=V, num_labels=outputs, **shapes[kind])
    return AutoModelForSequenceClassification.from_config(config).train()


def options(**values: Any) -> TaskConfig:
    return TaskConfig(name="sequence_classification", distill="somewhere", distill_temperature=T, **values)


def batch_of(data: Tokenized, teacher: np.ndarray, chosen: list[int]) -> dict[str, torch.Tensor]:
    module = TextDataModule(
        data, None, batch_size=8, eval_batch_size=8, seed=0, pad_token_id=0, padding_side="left", teacher=teacher
    )
    return module.train_dataloader().dataset[chosen]


def expected(model: Any, table: torch.Tensor, batch: dict[str, torch.Tensor], w: float, e: float) -> torch.Tensor:
    """The loss of a BERT, written out row by row in float64."""
    logits = model(batch["input_ids"], attention_mask=batch["attention_mask"]).logits.double()
    vectors = model.get_input_embeddings()(batch["input_ids"]).double()
    losses = []
    for row in range(len(logits)):
        given, told = logits[row], batch["teacher"][row].double()
        if logits.shape[1] == 1:
            labels = (given - batch["labels"][row].double()).square().sum()
            apart = (given - told).square().sum()
        else:
            labels = -given.log_softmax(0)[batch["labels"][row]]
            p, q = (told / T).softmax(0), (given / T).softmax(0)
            apart = T * T * (p * (p / q).log()).sum()
        text = batch["attention_mask"][row].bool()
        lookup = F.mse_loss(vectors[row][text], table.double()[batch["input_ids"][row][text]])
        losses.append((1 - w) * labels + w * apart + e * lookup / table.double().square().mean())
    return torch.stack(losses).mean()


@pytest.mark.parametrize("outputs", [1, 2, 3])
@pytest.mark.parametrize(("w", "e"), [(0.5, 1.0), (1.0, 0.0), (0.0, 2.0), (0.3, 0.7)])
def test_the_loss_is_that_of_the_papers_row_by_row(outputs: int, w: float, e: float) -> None:
    model, draw = small("bert", outputs), np.random.default_rng(1)
    table = model.get_input_embeddings().weight.detach().clone()
    compress(model, SVD(), 3)
    batch = batch_of(rows(outputs), draw.normal(size=(ROWS, outputs)).astype(np.float32), [0, 40, 3, 44])
    optimizer = OptimizerConfig(name="adamw", lr=1.0, weight_decay=0.0, warmup_ratio=0.0)
    student = Distillation(options(distill_weight=w, distill_embedding=e), table if e else None)
    module = SequenceClassification(model, optimizer, ["accuracy"], distillation=student)
    wanted = torch.autograd.grad(expected(model, table, batch, w, e), list(model.parameters()), allow_unused=True)
    loss = module._loss(batch)
    found = torch.autograd.grad(loss, list(model.parameters()), allow_unused=True)
    assert loss.item() == pytest.approx(expected(model, table, batch, w, e).item(), rel=1e-5)
    for one, other in zip(found, wanted, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_a_student_equal_to_its_teacher_has_no_distance() -> None:
    logits = torch.randn(5, 3)
    assert logit_loss(logits, logits, T).item() == pytest.approx(0, abs=1e-6)
    assert logit_loss(logits, logits + 7, T).item() == pytest.approx(0, abs=1e-5), "logits may be shifted"


def test_each_row_has_the_logits_of_its_own() -> None:
    teacher = np.arange(2 * ROWS, dtype=np.float32).reshape(ROWS, 2)
    batch = batch_of(rows(2), teacher, [7, 2, 31])
    assert torch.equal(batch["teacher"], torch.tensor(teacher[[7, 2, 31]]))


@pytest.mark.parametrize("dense", [True, False])
def test_an_encoder_decoder_is_compared_where_it_reads_the_text(dense: bool) -> None:
    """Its dense table is looked up in by two modules, which scale the rows; the factors by one."""
    model = small("bart", 2)
    table = model.get_input_embeddings().weight.detach().clone()
    if not dense:
        compress(model, SVD(), 3)
    batch = batch_of(rows(2), np.zeros((ROWS, 2), dtype=np.float32), [0, 1, 2])
    batch["input_ids"][:, -1] = 2  # the end of the text, which its head reads
    student = Distillation(options(distill_weight=0.0), table)
    optimizer = OptimizerConfig(name="adamw", lr=1.0, weight_decay=0.0, warmup_ratio=0.0)
    module = SequenceClassification(model, optimizer, ["accuracy"], distillation=student)
    with torch.no_grad():
        logits = module.logits(batch)
        own = module.loss(logits, batch["labels"]).item()
    lookup = module._loss(batch).item() - own
    now = model.get_input_embeddings()
    weight = now.weight if dense else now.dense()
    text = batch["attention_mask"].bool()
    apart = (weight - table).square().mean(1)[batch["input_ids"]] * text
    wanted = (apart.sum(1) / text.sum(1)).mean() / table.square().mean()
    assert lookup == pytest.approx(wanted.item(), rel=1e-3, abs=1e-6)
    assert (lookup > 0.1) != dense


class Gradients(pl.Callback):
    def __init__(self) -> None:
        self.steps: list[torch.Tensor] = []

    def on_before_optimizer_step(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: Any) -> None:
        self.steps.append(torch.cat([p.grad.flatten().clone() for p in pl_module.parameters() if p.grad is not None]))


def gradient(folder: Path, *, batch_size: int, accumulate: int, batching: Any = "rows", outputs: int = 2) -> Any:
    """The sum of the gradients of one epoch of a student that stays as it is."""
    model = small("bert", outputs)
    table = model.get_input_embeddings().weight.detach() + 0.01
    compress(model, SVD(), 3)
    teacher = np.random.default_rng(1).normal(size=(ROWS, outputs)).astype(np.float32)
    data = TextDataModule(
        rows(outputs),
        None,
        batch_size=batch_size,
        batching=batching,
        eval_batch_size=8,
        seed=0,
        pad_token_id=0,
        teacher=teacher,
    )
    optimizer = OptimizerConfig(name="adamw", lr=1e-30, weight_decay=0.0, warmup_ratio=0.0)
    module = SequenceClassification(model, optimizer, ["accuracy"], distillation=Distillation(options(), table))
    gradients = Gradients()
    trainer = pl.Trainer(
        max_epochs=1,
        accelerator="cpu",
        accumulate_grad_batches=accumulate,
        callbacks=[gradients],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )
    trainer.fit(module, train_dataloaders=data.train_dataloader())
    assert not any(part._forward_hooks for part in model.modules()), "nothing is left in the model"
    return torch.stack(gradients.steps).sum(0) * accumulate


@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize(("batching", "accumulate"), [("rows", 1), ("rows", 3), ("tokens", 1), ("tokens", 6)])
def test_an_epoch_has_the_gradient_of_one_batch_of_all_rows(
    batching: str, accumulate: int, outputs: int, tmp_path: Path
) -> None:
    whole = gradient(tmp_path, batch_size=ROWS, accumulate=1, outputs=outputs)
    found = gradient(tmp_path, batch_size=8, accumulate=accumulate, batching=batching, outputs=outputs)
    assert (found / 6 - whole).norm() < 1e-4 * whole.norm()


def test_a_compiled_student_learns_the_same() -> None:
    losses = []
    for compiled in (False, True):
        model = small("bert", 2)
        table = model.get_input_embeddings().weight.detach().clone()
        compress(model, SVD(), 3)
        if compiled:
            model.compile(backend="eager")
        optimizer = OptimizerConfig(name="adamw", lr=1.0, weight_decay=0.0, warmup_ratio=0.0)
        module = SequenceClassification(model, optimizer, ["accuracy"], distillation=Distillation(options(), table))
        batch = batch_of(rows(2), np.zeros((ROWS, 2), dtype=np.float32), [0, 40])
        losses.append([module._loss(batch).item() for _ in range(2)])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)
