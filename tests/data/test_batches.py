"""Batches hold each row once, are fixed by their seed, waste little padding, and pad as the tokenizer does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from embfact.data.batches import LengthGroupedBatches, collate, share_of, sorted_batches
from embfact.data.tokenized import tokenize

lengths_lists = st.lists(st.integers(1, 60), min_size=1, max_size=300)


@given(lengths_lists, st.integers(1, 9), st.integers(0, 2**32 - 1), st.integers(0, 3))
def test_each_row_is_in_one_batch_an_epoch(lengths: list[int], batch_size: int, seed: int, epoch: int) -> None:
    sampler = LengthGroupedBatches(np.array(lengths), batch_size, seed)
    sampler.set_epoch(epoch)
    batches = list(sampler)
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    assert len(batches) == len(sampler)
    assert sorted(map(len, batches))[1:] == [batch_size] * (len(batches) - 1)


@given(lengths_lists, st.integers(1, 9), st.integers(0, 2**32 - 1), st.integers(0, 3))
def test_batches_of_equal_tokens_hold_each_row_once_and_are_as_many(
    lengths: list[int], batch_size: int, seed: int, epoch: int
) -> None:
    sampler = LengthGroupedBatches(np.array(lengths), batch_size, seed, "tokens")
    sampler.set_epoch(epoch)
    batches = list(sampler)
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    assert len(batches) == len(sampler) == -(-len(lengths) // batch_size)
    assert all(batches)


def test_batches_of_equal_tokens_have_many_short_rows_or_few_long_ones() -> None:
    lengths = np.random.default_rng(0).integers(4, 60, 16 * 50)
    batches = list(LengthGroupedBatches(lengths, 16, 0, "tokens"))
    tokens = np.array([lengths[batch].sum() for batch in batches])
    assert np.abs(tokens - lengths.sum() / 50).max() < 2 * 60
    rows = np.array([len(batch) for batch in batches])
    assert rows.mean() == 16
    assert rows.max() > 3 * rows.min()


def test_one_very_long_row_empties_no_batch() -> None:
    batches = list(LengthGroupedBatches(np.array([1, 1, 1, 1, 500, 1]), 2, 0, "tokens"))
    assert len(batches) == 3
    assert all(batches)


def test_the_order_is_fixed_by_seed_and_epoch() -> None:
    lengths = np.random.default_rng(0).integers(4, 60, 500)

    def order(seed: int, epoch: int) -> list[list[int]]:
        sampler = LengthGroupedBatches(lengths, 16, seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert order(0, 0) == order(0, 0)
    assert order(0, 0) != order(0, 1)
    assert order(0, 0) != order(1, 0)


@given(lengths_lists, st.integers(1, 9), st.integers(0, 60))
def test_an_epoch_may_begin_in_its_middle_and_the_next_one_is_whole(
    lengths: list[int], batch_size: int, skipped: int
) -> None:
    sampler = LengthGroupedBatches(np.array(lengths), batch_size, 0)
    sampler.set_epoch(1)
    whole, length = list(sampler), len(sampler)
    sampler.skip(skipped)
    begun = iter(sampler)  # Lightning makes the iterator first and then chooses the epoch
    sampler.set_epoch(2)
    rest = list(begun)
    second = list(sampler)
    assert rest == second[skipped:]
    assert len(second) == len(whole) == len(sampler) == length


@given(st.integers(1, 40), st.integers(1, 9))
def test_devices_share_a_batch_evenly_and_their_weights_average_to_that_of_the_batch(rows: int, world: int) -> None:
    batch = [7 * row for row in range(rows)]
    shares = [share_of(batch, rank, world, mean_rows=8) for rank in range(world)]
    counted = [share for share, weight in shares if weight]
    assert sorted(row for share in counted for row in share) == batch
    assert max(map(len, counted)) - min(map(len, counted)) <= 1
    # Every device takes the step, also where the batch has no row for it.
    assert all(len(share) == 1 for share, weight in shares if not weight)
    assert sum(weight for _, weight in shares) / world == pytest.approx(rows / 8)


def test_padding_is_a_small_share_of_that_of_a_plain_shuffle() -> None:
    random = np.random.default_rng(0)
    lengths = random.integers(4, 60, 2000)

    def padding(batches: list[list[int]]) -> int:
        return sum(int(lengths[batch].max() * len(batch) - lengths[batch].sum()) for batch in batches)

    plain = [batch.tolist() for batch in np.array_split(random.permutation(2000), 125)]
    assert padding(list(LengthGroupedBatches(lengths, 16, 0))) < 0.1 * padding(plain)


def test_batches_are_not_in_order_of_length() -> None:
    lengths = np.arange(800)
    firsts = [batch[0] for batch in LengthGroupedBatches(lengths, 8, 0)]
    assert firsts != sorted(firsts)


@given(lengths_lists, st.integers(1, 9))
def test_scoring_takes_each_row_once_longest_first(lengths: list[int], batch_size: int) -> None:
    order = [row for batch in sorted_batches(np.array(lengths), batch_size) for row in batch]
    assert sorted(order) == list(range(len(lengths)))
    assert [lengths[row] for row in order] == sorted(lengths, reverse=True)


TABLE = pa.table(
    {
        "id": [10, 11, 12],
        "text": ["a fine film", "dull", "plot"],
        "text_pair": ["acting", "a film a film", "fine"],
        "label": [1, 0, 1],
    }
)


@pytest.mark.parametrize("side", ["right", "left"])
def test_a_batch_equals_the_tokenizers_own_padding(tokenizer: Any, tmp_path: Path, side: str) -> None:
    tokenized = tokenize(TABLE, tokenizer, 16, tmp_path)
    batch = collate(tokenized, [2, 0], tokenizer.pad_token_id, side)
    texts = ["plot", "a fine film"], ["fine", "acting"]
    expected = tokenizer(*texts, padding=True, padding_side=side, return_tensors="pt")
    for name in ("input_ids", "attention_mask", "token_type_ids"):
        assert batch[name].dtype == torch.int64
        torch.testing.assert_close(batch[name], expected[name])
    assert batch["labels"].tolist() == [1, 1]


def test_targets_are_float32_and_hidden_labels_left_out(tokenizer: Any, tmp_path: Path) -> None:
    targets = TABLE.set_column(3, "label", pa.array([0.5, 1.0, 2.0]))
    hidden = TABLE.set_column(3, "label", pa.nulls(3, pa.int64()))
    labels = collate(tokenize(targets, tokenizer, 16, tmp_path), [0, 2], 0)["labels"]
    assert labels.dtype == torch.float32
    assert labels.tolist() == [0.5, 2.0]
    assert "labels" not in collate(tokenize(hidden, tokenizer, 16, tmp_path), [0], 0)
