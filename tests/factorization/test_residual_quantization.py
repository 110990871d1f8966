"""`residual_quantization`: codes as good as those of faiss, the best shares of stages, and errors that only fall."""

from itertools import product

import faiss
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from embfact.factorization.base import Evidence
from embfact.factorization.residual_codes import encode, fit_stages, share_out, stage_books
from embfact.factorization.residual_quantization import ResidualQuantization
from tests.helpers.tables import rows_around_centers

ALIKE = 1e9  # beside so much smoothing all counts are alike


def zipf(vocab_size):
    return torch.tensor(np.random.default_rng(0).permutation(1e6 / np.arange(1, vocab_size + 1)).round())


def fit(table, rank, counts=None, **options):
    counts = torch.ones(len(table)) if counts is None else counts
    return ResidualQuantization(**options).fit(table, rank, evidence=Evidence(counts))


def lost(table, module, counts=None):
    errors = (table - module.dense()).square().sum(dim=1)
    return errors.sum().item() if counts is None else (counts @ errors).item()


def by_hand(module):
    """The table, one token, stage and part after another."""
    lengths, codes = module.lengths.tolist(), iter(module.codes.tolist())
    rows = module.mean.matrix().detach().numpy().repeat(len(lengths), axis=0)
    for row, length in zip(rows, lengths, strict=True):
        for stage in range(length):
            found, start = next(codes), 0
            for (count, width), books in zip(module.widths, module.codebooks, strict=True):
                books = books.matrix().detach().view(module.stages, -1, module.centroids, width)
                for part in range(count):
                    book = books[stage, 0 if module.shared else part]
                    row[start : start + width] += book[found.pop(0)].numpy()
                    start += width
    return rows


def faiss_error(table, stages, centroids, beam, books=None):
    """What faiss leaves of a table, with codebooks of its own or with given ones."""
    reference = faiss.ResidualQuantizer(table.shape[1], stages, centroids.bit_length() - 1)
    reference.max_beam_size = beam
    if books is None:
        reference.train(table.numpy())
    else:
        faiss.copy_array_to_vector(books.numpy().ravel(), reference.codebooks)
        reference.is_trained = True
    decoded = reference.decode(reference.compute_codes(table.numpy()))
    return np.square(decoded.astype(float) - table.numpy()).sum()


@pytest.mark.parametrize(("stages", "centroids", "beam"), [(2, 64, 1), (3, 16, 8)])
def test_the_error_is_at_most_that_of_faiss_and_the_codes_are_as_good_as_its(stages, centroids, beam):
    table = rows_around_centers(2000, 12, torch.float32)
    options = {"parts": 1, "stages": stages, "centroids": centroids, "beam": beam, "smoothing": ALIKE}
    module, refitted = (fit(table, stages, rounds=rounds, **options) for rounds in (0, 2))
    (books,) = module.codebooks
    mean = module.mean.matrix().detach()

    assert module.lengths.unique().tolist() == [stages]
    assert lost(table, module) < 1.03 * faiss_error(table, stages, centroids, beam)
    assert lost(table, module) == pytest.approx(
        faiss_error(table - mean, stages, centroids, beam, books.matrix().detach()), rel=0.01
    )
    # faiss does not refit the centroids to the codes.
    assert lost(table, refitted) < lost(table, module)


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize(("hidden_size", "parts"), [(12, 3), (10, 4), (5, 1)])
def test_a_row_is_the_mean_and_the_centroids_of_its_codes(shared, hidden_size, parts):
    table, counts = rows_around_centers(60, hidden_size), zipf(60)
    module = fit(table, 2 * parts, counts, parts=parts, stages=3, centroids=8, shared=shared)
    np.testing.assert_allclose(module.dense().numpy(), by_hand(module), rtol=0, atol=1e-12)
    assert int(module.lengths.sum()) == len(module.codes) == 60 * 2
    assert module.lengths.max() > module.lengths.min()


def test_a_wide_beam_finds_the_nearest_of_all_sums():
    draw = np.random.default_rng(1)
    vectors, books = torch.tensor(draw.normal(size=(50, 3))), torch.tensor(draw.normal(size=(3, 5, 3)))
    sums = np.stack([books[0, i] + books[1, j] + books[2, k] for i, j, k in product(range(5), repeat=3)])
    nearest = np.square(vectors.numpy()[:, None] - sums).sum(axis=2).min(axis=1)

    codes = encode(vectors, books, beam=25).long()

    found = sum(book[code] for book, code in zip(books, codes.T, strict=True))
    np.testing.assert_allclose((vectors - found).square().sum(dim=1), nearest, rtol=0, atol=1e-12)


def test_a_beam_of_one_takes_the_nearest_centroid_in_each_stage():
    draw = np.random.default_rng(1)
    vectors, books = draw.normal(size=(50, 3)), draw.normal(size=(3, 5, 3))
    codes, residual = encode(torch.tensor(vectors), torch.tensor(books), beam=1).numpy(), vectors
    for book, code in zip(books, codes.T, strict=True):
        squares = np.square(residual[:, None] - book[None]).sum(axis=2)
        np.testing.assert_array_equal(code, squares.argmin(axis=1))
        residual = residual - book[code]


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 4), st.integers(1, 3), st.data())
def test_stages_are_shared_out_with_the_least_error_of_all_ways(tokens, stages, data):
    draw = np.random.default_rng(data.draw(st.integers(0, 1000)))
    total = data.draw(st.integers(1, tokens * stages))
    gains = -np.sort(-draw.exponential(size=(tokens, stages)), axis=1)  # ever smaller ones
    errors = 100 - np.concatenate([np.zeros((tokens, 1)), gains.cumsum(axis=1)], axis=1)
    ways = [way for way in product(range(stages + 1), repeat=tokens) if sum(way) == total]
    least = min(errors[range(tokens), way].sum() for way in ways)

    found = share_out(torch.tensor(errors), total).numpy()

    assert found.sum() == total
    assert errors[range(tokens), found].sum() == pytest.approx(least, abs=1e-9)


def test_a_stage_that_helps_only_the_next_one_is_taken_for_both():
    errors = torch.tensor([[10.0, 10.0, 0.0], [10.0, 7.0, 6.0]])
    assert share_out(errors, 2).tolist() == [2, 0]


@pytest.mark.parametrize("beam", [1, 4])
def test_refitting_and_searching_never_raise_the_weighted_error(beam):
    vectors, weights = rows_around_centers(400, 6).unsqueeze(1), zipf(400) + 1
    books, _ = stage_books(vectors, weights, stages=3, centroids=8, iterations=2, seed=0)
    lengths = torch.arange(400) % 4

    fitted = fit_stages(vectors, weights, lengths, books, beam, rounds=4)

    assert len(fitted.errors) == 9
    assert all(after <= before * (1 + 1e-12) for before, after in zip(fitted.errors, fitted.errors[1:], strict=False))
    assert fitted.errors[-1] < 0.95 * fitted.errors[0]


def test_after_refitting_the_last_stage_has_the_weighted_means_of_what_is_left():
    vectors, weights = rows_around_centers(200, 4).unsqueeze(1), zipf(200) + 1
    books, _ = stage_books(vectors, weights, stages=2, centroids=4, iterations=5, seed=0)
    lengths = torch.full((200,), 2)
    # Only what was found before the last search: its codes may differ from those of the centroids.
    codes = fit_stages(vectors, weights, lengths, books, 2, rounds=0).codes.long().squeeze(2)
    refitted = fit_stages(vectors, weights, lengths, books, 2, rounds=1).books

    rest = (vectors.squeeze(1) - refitted[0][codes[:, 0]]).numpy()
    for number, centroid in enumerate(refitted[1]):
        mine = (codes[:, 1] == number).numpy()
        np.testing.assert_allclose(centroid, np.average(rest[mine], axis=0, weights=weights.numpy()[mine]), atol=1e-9)


def test_more_bytes_and_a_wider_beam_leave_less_error():
    table, counts = rows_around_centers(800, 16), zipf(800)
    errors = [lost(table, fit(table, rank, counts, centroids=16), counts + 1) for rank in (1, 2, 4, 8)]
    assert errors == sorted(errors, reverse=True)
    greedy, searched = (
        lost(table, fit(table, 4, counts, centroids=16, beam=beam, rounds=0), counts + 1) for beam in (1, 8)
    )
    assert searched < greedy


def test_frequent_tokens_get_more_stages_and_so_less_error_than_equal_shares():
    table, counts = rows_around_centers(1000, 16), zipf(1000)
    options = {"centroids": 32, "parts": 2, "smoothing": 1}
    module, equal = fit(table, 4, counts, stages=6, **options), fit(table, 4, counts, stages=2, **options)

    assert equal.lengths.unique().tolist() == [2]
    order = counts.argsort(descending=True)
    assert module.lengths[order[:50]].double().mean() > module.lengths[order[-500:]].double().mean() + 1
    assert lost(table, module, counts) < 0.6 * lost(table, equal, counts)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 8), st.integers(0, 12), st.booleans(), st.integers(0, 100))
def test_no_error_is_left_where_there_are_centroids_for_all_distinct_rows(distinct, more, shared, seed):
    draw = np.random.default_rng(seed)
    rows = draw.normal(size=(distinct, 7))[draw.permutation(np.arange(distinct + more) % distinct)]
    parts = 1 if shared else 3
    method = ResidualQuantization(centroids=max(2, distinct), parts=parts, stages=2, shared=shared)
    module = method.fit(torch.tensor(rows), 2 * parts, evidence=Evidence(torch.ones(len(rows))))
    np.testing.assert_allclose(module.dense().numpy(), rows, rtol=0, atol=1e-12)


def test_sizes_of_a_real_table():
    method = ResidualQuantization()
    size = method.size(30522, 384, 29)
    assert size.parameters == 384 + 6 * 256 * 8
    assert size.bytes == 4 * size.parameters + 48 * (30522 * 29 // 48) + 30522
    assert method.rank_limit(30522, 384) == 288
    assert ResidualQuantization(shared=False).parameters(30522, 384, 29) == 384 + 6 * 256 * 384
    with pytest.raises(ValueError, match=r"codes per token.*above 288"):
        method.check_size(30522, 384, 289, allow_larger=True)


@pytest.mark.parametrize(
    "options",
    [
        {"parts": 0},
        {"stages": 0},
        {"stages": 256},
        {"centroids": 1},
        {"centroids": 257},
        {"smoothing": 0},
        {"iterations": 0},
        {"beam": 0},
        {"rounds": -1},
    ],
)
def test_options_that_mean_nothing_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        ResidualQuantization(**options)


def test_more_parts_than_columns_are_refused():
    with pytest.raises(ValueError, match=r"parts must be at most 12, the columns \(found 13\)"):
        fit(rows_around_centers(40, 12), 4, parts=13)
