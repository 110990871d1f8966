"""The loaders that Lightning trains and scores with."""

from __future__ import annotations

from typing import Literal

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, Dataset

from embfact.data.batches import LengthGroupedBatches, collate, share_of, sorted_batches
from embfact.data.tokenized import Tokenized

Batch = dict[str, torch.Tensor]


class TextDataModule(pl.LightningDataModule):
    """Loaders over tokenised rows.

    The samplers yield whole batches, which Lightning cannot split over devices: give its Trainer
    ``use_distributed_sampler=False``. Where it trains on several, the batches are those of one device, and each device
    gets its share of every batch, with the ``weight`` of their mean loss; what is scored, every device scores whole.

    Args:
        train: Rows to train on.
        selection: Rows to select on after each epoch, or None.
        batch_size: Rows of a training batch, over all devices.
        batching: What training batches are equal in: ``"rows"``, or ``"tokens"`` with that many rows in the mean.
        eval_batch_size: Rows scored at once.
        seed: Seed of the order of the training rows.
        pad_token_id: The tokenizer's padding token.
        padding_side: The tokenizer's padding side.
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

    def train_dataloader(self) -> DataLoader[Batch]:
        """Batches of like length in an order of their own each epoch."""
        batches = LengthGroupedBatches(self.train.lengths, self.batch_size, self.seed, self.batching)
        place = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        return self._loader(self.train, batches, *place)

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
        return self._loader(rows, sorted_batches(rows.lengths, self.eval_batch_size))

    def _loader(
        self, rows: Tokenized, batches: LengthGroupedBatches | list[list[int]], rank: int = 0, world: int = 1
    ) -> DataLoader[Batch]:
        # The batches are given as `sampler`, not `batch_sampler`: there Lightning calls `set_epoch` before each epoch.
        return DataLoader(
            _PaddedBatches(rows, self.pad_token_id, self.padding_side, rank, world),
            batch_size=None,
            sampler=batches,
            pin_memory=torch.cuda.is_available(),
        )


class _PaddedBatches(Dataset[Batch]):
    """Indexed by the positions of a whole batch."""

    def __init__(self, rows: Tokenized, pad_token_id: int, padding_side: str, rank: int, world: int):
        self.rows = rows
        self.pad_token_id = pad_token_id
        self.padding_side = padding_side
        self.rank = rank
        self.world = world

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, indices: list[int]) -> Batch:
        if self.world == 1:
            return collate(self.rows, indices, self.pad_token_id, self.padding_side)
        share, weight = share_of(indices, self.rank, self.world)
        return {**collate(self.rows, share, self.pad_token_id, self.padding_side), "weight": torch.tensor(weight)}
