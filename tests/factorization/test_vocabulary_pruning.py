"""`vocabulary_pruning` keeps the frequent rows exactly and shares the best row among all others."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from embfact.factorization.base import Evidence
from embfact.factorization.target import SizeTarget
from embfact.factorization.vocabulary_pruning import VocabularyPruning


def table_of(vocab_size, hidden_size, dtype=torch.float64):
    return torch.tensor(np.random.default_rng(0).normal(size=(vocab_size, hidden_size)), dtype=dtype)


def frequent(counts, number):
    """The most frequent ids, the smaller id first of equals, by plain sorting."""
    return sorted(sorted(range(len(counts)), key=lambda token: (-float(counts[token]), token))[:number])


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_frequent_rows_are_kept_and_the_others_share_their_weighted_mean(data):
    vocab_size = data.draw(st.integers(2, 30))
    kept = data.draw(st.integers(1, vocab_size - 1))
    counts = data.draw(st.lists(st.integers(0, 9), min_size=vocab_size, max_size=vocab_size).filter(any))
    smoothing = data.draw(st.sampled_from([0.5, 1, 1e3]))
    table, evidence = table_of(vocab_size, 5), Evidence(torch.tensor(counts))

    module = VocabularyPruning(smoothing=smoothing).fit(table, kept, evidence=evidence)

    ids = frequent(counts, kept)
    others = np.setdiff1d(np.arange(vocab_size), ids)
    mean = np.average(table.numpy()[others], axis=0, weights=np.array(counts)[others] + smoothing)
    assert module.kept_ids.tolist() == ids
    assert torch.equal(module.dense()[ids], table[ids])
    np.testing.assert_allclose(module.dense()[others].numpy(), np.tile(mean, (len(others), 1)), rtol=0, atol=1e-12)


def test_no_other_shared_row_has_a_lower_weighted_error():
    table, counts = table_of(50, 6), torch.tensor(np.random.default_rng(1).integers(1, 100, size=50)).double()
    module = VocabularyPruning(smoothing=0).fit(table, 10, evidence=Evidence(counts))
    others = np.setdiff1d(np.arange(50), module.kept_ids.numpy())
    scale = counts.sqrt()[others].unsqueeze(1).numpy()

    best, error, *_ = np.linalg.lstsq(scale, scale * table.numpy()[others], rcond=None)

    found = (counts @ (table - module.dense()).square().sum(dim=1)).item()
    assert found == pytest.approx(error.sum(), rel=1e-9)
    np.testing.assert_allclose(module.dense()[others[0]].numpy(), best[0], rtol=0, atol=1e-12)


def test_where_all_counted_tokens_are_kept_the_others_weigh_the_same():
    table, counts = table_of(20, 4), torch.zeros(20)
    counts[5:8] = 3
    module = VocabularyPruning(smoothing=0).fit(table, 4, evidence=Evidence(counts))

    assert module.kept_ids.tolist() == [0, 5, 6, 7]
    others = np.setdiff1d(np.arange(20), [0, 5, 6, 7])
    torch.testing.assert_close(module.dense()[1], table[others].mean(dim=0))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_kept_rows_have_the_bits_of_the_table(dtype):
    table = table_of(30, 6, dtype)
    module = VocabularyPruning().fit(table, 9, evidence=Evidence(torch.arange(30)))
    assert torch.equal(module.dense()[21:], table[21:])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 1000), min_size=2, max_size=40).filter(any), st.floats(0.01, 1))
def test_energy_is_the_share_of_the_text_that_keeps_its_rows(counts, energy):
    rank = VocabularyPruning().rank_for_energy(table_of(len(counts), 2), energy, Evidence(torch.tensor(counts)))
    falling = sorted(counts, reverse=True)
    needed = energy * sum(counts)

    assert sum(falling[:rank]) >= needed
    assert rank == 1 or sum(falling[: rank - 1]) < needed


def test_all_of_the_energy_keeps_every_token_that_occurs():
    counts = torch.tensor([3, 0, 2, 0, 0, 7, 1, 0])
    rank = SizeTarget(energy=1.0).rank_of(VocabularyPruning(), table_of(8, 4), Evidence(counts))
    module = VocabularyPruning().fit(table_of(8, 4), rank, evidence=Evidence(counts))
    assert module.kept_ids.tolist() == [0, 2, 5, 6]


@pytest.mark.parametrize("padding_idx", [2, 7])
def test_a_padding_token_is_kept_only_where_it_is_counted(padding_idx):
    module = VocabularyPruning().fit(
        table_of(8, 4), 3, evidence=Evidence(torch.tensor([3, 0, 2, 0, 0, 7, 1, 0])), padding_idx=padding_idx
    )
    assert (module.padding_idx in module.kept_ids) == (padding_idx == 2)
    module(torch.tensor([padding_idx])).sum().backward()
    assert not module.rows.weight.grad.any()


def test_sizes_of_a_real_table():
    method = VocabularyPruning()
    size = method.size(30522, 384, 3000)
    assert size.parameters == 3001 * 384
    assert size.bytes == 4 * 3001 * 384 + 4 * 3000
    largest = method.largest_rank(30522, 384)
    assert 385 * largest + 384 < 30522 * 384 <= 385 * (largest + 1) + 384
    with pytest.raises(ValueError, match=rf"kept rows.*does not shrink.*largest rank that does is {largest}"):
        method.check_size(30522, 384, largest + 1)
    with pytest.raises(ValueError, match=r"rank 8 .kept rows. is above 7"):
        method.check_size(8, 4, 8, allow_larger=True)
