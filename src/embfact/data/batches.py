"""Which rows form a batch, and the padded tensors they become."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
import torch
from torch.utils.data import Sampler

from embfact.data.tokenized import Tokenized

POOL = 250  # batches that are sorted by length together: hardly any padding, yet still shuffled


class LengthGroupedBatches(Sampler[list[int]]):
    """Batches of rows of similar length, shuffled again in each epoch, each row exactly once per epoch.

    The order depends only on the seed, the epoch and the lengths. The number of batches is the same for both values of
    ``equal``.

    Args:
        lengths: Tokens of each row, shape ``(n,)``.
        batch_size: Rows of a batch; their mean if batches are equal in tokens.
        seed: Seed of the order.
        equal: ``"rows"``: only the last batch of the last pool may have fewer; ``"tokens"``: the batches of a pool have
            about the same number of tokens, so many short rows or few long ones.
    """

    def __init__(self, lengths: np.ndarray, batch_size: int, seed: int, equal: Literal["rows", "tokens"] = "rows"):
        self.lengths = np.asarray(lengths)
        self.batch_size = batch_size
        self.seed = seed
        self.equal = equal
        self.epoch = 0
        self._skipped = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of an epoch, counted from 0."""
        self.epoch = epoch

    def skip(self, batches: int) -> None:
        """Start the next epoch after its first ``batches`` batches, to resume a training within it.

        Later epochs are whole again; the length never changes.
        """
        self._skipped = batches

    def __len__(self) -> int:
        return -(-len(self.lengths) // self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        random = np.random.default_rng([self.seed, self.epoch])
        order = random.permutation(len(self.lengths))
        batches: list[np.ndarray] = []
        for start in range(0, len(order), POOL * self.batch_size):
            pool = order[start : start + POOL * self.batch_size]
            pool = pool[np.argsort(self.lengths[pool], kind="stable")]
            batches += np.split(pool, self._cuts(self.lengths[pool]))
        # Taken here, not when the iterator is made: Lightning makes it before it calls `set_epoch`.
        skipped, self._skipped = self._skipped, 0
        for batch in random.permutation(len(batches))[skipped:]:
            yield batches[batch].tolist()

    def _cuts(self, lengths: np.ndarray) -> np.ndarray:
        """Where a sorted pool is cut into batches."""
        equal_rows = np.arange(self.batch_size, len(lengths), self.batch_size)
        if self.equal == "rows":
            return equal_rows
        batches, ends = len(equal_rows) + 1, np.cumsum(lengths)
        cuts = np.searchsorted(ends, ends[-1] * np.arange(1, batches) / batches)
        # No batch is empty, however long a single row is.
        earliest = np.arange(1, batches)
        cuts = np.maximum.accumulate(cuts - earliest) + earliest
        return np.clip(cuts, earliest, len(lengths) - batches + earliest)


def share_of(batch: Sequence[int], rank: int, world: int, mean_rows: float) -> tuple[list[int], float]:
    """The rows of a batch for device ``rank`` of ``world``, and the weight of their mean loss.

    Averaged over the devices and over the batches of an epoch, the weighted means are the mean loss of all rows: each
    counts once, however rows are spread over batches and devices.

    Returns:
        Every ``world``-th row starting at number ``rank``, and its weight ``world * rows / mean_rows``, where
        ``mean_rows`` is the mean size of a batch; one row of weight 0 if the batch has none for this device, since
        every device has to take every step.
    """
    rows = list(batch[rank::world])
    return rows or [batch[0]], world * len(rows) / mean_rows


def sorted_batches(lengths: np.ndarray, batch_size: int) -> list[list[int]]:
    """Batches for scoring, longest rows first, so that a lack of memory shows at once."""
    order = np.argsort(-np.asarray(lengths), kind="stable")
    return [order[start : start + batch_size].tolist() for start in range(0, len(order), batch_size)]


def collate(
    tokenized: Tokenized, indices: Sequence[int], pad_token_id: int, padding_side: str = "right"
) -> dict[str, torch.Tensor]:
    """The padded tensors of a batch.

    Args:
        tokenized: The rows.
        indices: Positions (not ids) of the rows of the batch.
        pad_token_id: Token to pad with.
        padding_side: ``"right"`` or ``"left"``.

    Returns:
        ``input_ids`` and ``attention_mask`` (int64, ``(b, longest)``), ``token_type_ids`` if the model takes them, and
        ``labels`` (int64 codes or float32 targets, ``(b,)``) unless hidden.
    """
    positions = np.asarray(indices)
    lengths = tokenized.lengths[positions]
    width = int(lengths.max())
    columns = np.arange(width)
    mask = columns < lengths[:, None] if padding_side == "right" else columns >= width - lengths[:, None]
    batch = {"input_ids": np.full(mask.shape, pad_token_id, dtype=np.int64), "attention_mask": mask.astype(np.int64)}
    batch["input_ids"][mask] = np.concatenate([tokenized.row(index) for index in positions])
    if tokenized.types is not None:
        batch["token_type_ids"] = np.zeros(mask.shape, dtype=np.int64)
        batch["token_type_ids"][mask] = np.concatenate([tokenized.type_row(index) for index in positions])
    if tokenized.labels is not None:
        labels = tokenized.labels[positions]
        batch["labels"] = labels.astype(np.float32) if labels.dtype.kind == "f" else labels
    return {name: torch.from_numpy(values) for name, values in batch.items()}
