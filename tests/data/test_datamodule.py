"""Lightning trains on each row once an epoch, in a new order each time, and scores every row."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import pytorch_lightning as pl
import torch

from embfact.data.datamodule import TextDataModule
from embfact.data.tokenized import Tokenized, tokenize

WORDS = ["a", "fine", "dull", "film", "plot", "acting"]


class Watcher(pl.LightningModule):
    """Notes the rows that it is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.trained: list[list[int]] = []
        self.selected: list[int] = []

    def on_train_epoch_start(self) -> None:
        self.trained.append([])

    def training_step(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        self.trained[-1] += batch["labels"].tolist()
        return self.weight.sum()

    def validation_step(self, batch: dict[str, torch.Tensor]) -> None:
        self.selected += batch["labels"].tolist()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.fixture
def rows(tokenizer: Any, tmp_path: Path) -> Callable[[int], Tokenized]:
    def make(count: int) -> Tokenized:
        texts = [" ".join(WORDS[: 1 + row % 5]) for row in range(count)]
        table = pa.table({"id": range(100, 100 + count), "text": texts, "label": range(100, 100 + count)})
        return tokenize(table, tokenizer, 16, tmp_path)

    return make


@pytest.fixture
def fitted(rows: Callable[[int], Tokenized], tmp_path: Path) -> Callable[..., Watcher]:
    def fit(selection: Tokenized | None, seed: int = 0) -> Watcher:
        module = TextDataModule(rows(30), selection, batch_size=4, eval_batch_size=8, seed=seed, pad_token_id=0)
        watcher = Watcher()
        pl.Trainer(
            max_epochs=2,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            default_root_dir=tmp_path,
        ).fit(watcher, datamodule=module)
        return watcher

    return fit


def test_each_row_is_trained_on_once_an_epoch_in_a_new_order(fitted: Any, rows: Any) -> None:
    watcher = fitted(rows(9))
    assert [sorted(epoch) for epoch in watcher.trained] == [list(range(100, 130))] * 2
    assert watcher.trained[0] != watcher.trained[1]
    assert sorted(watcher.selected) == sorted(list(range(100, 109)) * 2)


def test_the_order_is_the_seeds(fitted: Any, rows: Any) -> None:
    first, again, other = fitted(rows(9)), fitted(rows(9)), fitted(rows(9), seed=1)
    assert first.trained == again.trained
    assert first.trained != other.trained


def test_without_a_selection_slice_nothing_is_validated(fitted: Any) -> None:
    watcher = fitted(None)
    assert watcher.selected == []
    assert len(watcher.trained) == 2


def test_a_split_is_scored_whole(rows: Any) -> None:
    module = TextDataModule(rows(3), None, batch_size=4, eval_batch_size=4, seed=0, pad_token_id=0)
    batches = list(module.eval_dataloader(rows(11)))
    assert sorted(row for batch in batches for row in batch["labels"].tolist()) == list(range(100, 111))
    widths = [batch["input_ids"].shape[1] for batch in batches]
    assert widths == sorted(widths, reverse=True)
