"""The data loaders for training and scoring."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

import numpy as np
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, Dataset

from embfact.data.batches import LengthGroupedBatches, collate, share_of, sorted_batches
from embfact.data.tokenized import Tokenized

Batch = dict[str, torch.Tensor]
Share = Callable[[list[int]], tuple[list[int], float]]


class TextDataModule(pl.LightningDataModule):
    """Loaders over tokenised rows.

    The samplers yield whole batches, which Lightning cannot split over devices: give its Trainer
    ``use_distributed_sampler=False``. In a training on several devices, each device gets its share of every batch, but
    scores all rows. A training batch has the ``weight`` of the mean loss of its rows, since batches differ in size and
    each row should count once.

    Args:
        train: Rows to train on.
        selection: Rows to select on after each epoch, or None.
        batch_size: Rows of a training batch, over all devices.
        batching: Whether training batches are equal in ``"rows"``, or in ``"tokens"`` with that many rows on average.
        eval_batch_size: Rows scored at once.
        seed: Seed of the order of the training rows.
        pad_token_id: The tokenizer's padding token.
        padding_side: The tokenizer's padding side.
        teacher: Logits of another model for the training rows, shape ``(n, outputs)``, which their batches then hold
            as ``teacher``.
    """

    def __init__(
        self,
        train: Tokenized,
        selection: Tokenized | None,
        *,
        batch_size: int,
        eval_batch_size: int,
        seed: int,
        pad_token_id: int,
        padding_side: str = "right",
        batching: Literal["rows", "tokens"] = "rows",
        teacher: np.ndarray | None = None,
    ):
        super().__init__()
        self.train = train
        self.selection = selection
        self.batch_size = batch_size
        self.batching = batching
        self.eval_batch_size = eval_batch_size
        self.seed = seed
        self.pad_token_id = pad_token_id
        self.padding_side = padding_side
        self.teacher = teacher

    def train_dataloader(self) -> DataLoader[Batch]:
        """Batches of similar length, in a new order in each epoch."""
        batches = LengthGroupedBatches(self.train.lengths, self.batch_size, self.seed, self.batching)
        rank, world = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        share = partial(share_of, rank=rank, world=world, mean_rows=len(self.train) / len(batches))
        return self._loader(_PaddedBatches(self.train, self._padded, share, self.teacher), batches)

    def batch_rows(self) -> dict[str, float]:
        """Fewest, mean and most rows of a batch, over the first epoch."""
        batches = LengthGroupedBatches(self.train.lengths, self.batch_size, self.seed, self.batching)
        sizes = [len(batch) for batch in batches]
        return {"fewest": min(sizes), "mean": round(sum(sizes) / len(sizes), 2), "most": max(sizes)}

    def val_dataloader(self) -> DataLoader[Batch] | list[DataLoader[Batch]]:
        """The rows to select on; no loader if none are held out."""
        return [] if self.selection is None else self.eval_dataloader(self.selection)

    def eval_dataloader(self, rows: Tokenized) -> DataLoader[Batch]:
        """Any rows, each once, longest first."""
        return self._loader(_PaddedBatches(rows, self._padded), sorted_batches(rows.lengths, self.eval_batch_size))

    @property
    def _padded(self) -> Callable[[Tokenized, list[int]], Batch]:
        return partial(collate, pad_token_id=self.pad_token_id, padding_side=self.padding_side)

    @staticmethod
    def _loader(rows: _PaddedBatches, batches: LengthGroupedBatches | list[list[int]]) -> DataLoader[Batch]:
        # As `sampler`, not `batch_sampler`: Lightning calls `set_epoch` of a sampler before each epoch.
        pin = torch.cuda.is_available()
        return DataLoader(rows, batch_size=None, sampler=batches, pin_memory=pin)


class _PaddedBatches(Dataset[Batch]):
    """Indexed by the positions of a whole batch; returns a share of it with its weight, or all of it."""

    def __init__(
        self,
        rows: Tokenized,
        padded: Callable[[Tokenized, list[int]], Batch],
        share: Share | None = None,
        teacher: np.ndarray | None = None,
    ):
        self.rows, self.padded, self.share, self.teacher = rows, padded, share, teacher

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, indices: list[int]) -> Batch:
        if self.share is None:
            return self.padded(self.rows, indices)
        rows, weight = self.share(indices)
        batch = {**self.padded(self.rows, rows), "weight": torch.tensor(weight)}
        return batch if self.teacher is None else {**batch, "teacher": torch.from_numpy(self.teacher[rows])}
