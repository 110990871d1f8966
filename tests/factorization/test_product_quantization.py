"""`product_quantization` finds codebooks as good as those of the libraries for it, and the nearest codes exactly."""

import faiss
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans

from embfact.embeddings.layout import sub_vectors
from embfact.factorization.base import Evidence
from embfact.factorization.product_quantization import ProductQuantization
from tests.helpers.tables import rows_around_centers

ALIKE = 1e9  # beside so much smoothing all counts are alike


def fit(table, rank, counts=None, **options):
    counts = torch.ones(len(table)) if counts is None else counts
    return ProductQuantization(**options).fit(table, rank, evidence=Evidence(counts))


def codebooks(module):
    """Centroids of each part, one after another."""
    return [part.detach() for rows in module.codebooks for part in rows.matrix().split(module.centroids)]


def zipf(vocab_size):
    return torch.tensor(np.random.default_rng(0).permutation(1e6 / np.arange(1, vocab_size + 1)).round())


@pytest.mark.parametrize(("parts", "centroids"), [(4, 256), (8, 16), (1, 64)])
def test_the_error_is_that_of_faiss_or_lower(parts, centroids):
    table = rows_around_centers(3000, 16, torch.float32)
    reference = faiss.ProductQuantizer(16, parts, centroids.bit_length() - 1)
    reference.train(table.numpy())
    decoded = reference.decode(reference.compute_codes(table.numpy()))

    module = fit(table, parts, centroids=centroids, smoothing=ALIKE)

    expected = np.square(decoded - table.numpy()).sum()
    assert 0.85 * expected < (module.dense() - table).square().sum().item() < 1.03 * expected


def test_the_weighted_error_is_that_of_a_weighted_k_means():
    table, counts = rows_around_centers(1000, 6), zipf(1000)
    expected = sum(
        min(
            KMeans(32, n_init=1, random_state=seed).fit(part.numpy(), sample_weight=counts.numpy() + 1).inertia_
            for seed in range(3)
        )
        for part in table.split(3, dim=1)
    )
    error = (table - fit(table, 2, counts, centroids=32, smoothing=1, iterations=100).dense()).square().sum(dim=1)
    assert ((counts + 1) @ error).item() == pytest.approx(expected, rel=0.03)


def test_the_frequent_tokens_are_the_nearest():
    table, counts = rows_around_centers(1000, 8), zipf(1000)
    weighted, plain = (
        counts @ (table - fit(table, 2, counts, smoothing=smoothing, centroids=32).dense()).square().sum(dim=1)
        for smoothing in (1, ALIKE)
    )
    assert weighted < 0.6 * plain


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_each_code_is_the_nearest_centroid_as_it_is_stored(dtype):
    table = rows_around_centers(300, 10, dtype)
    module = fit(table, 4, centroids=16)

    assert [rows.width for rows in module.codebooks] == [3, 2]
    for codes, part, centroids in zip(module.codes.T, table.split([3, 3, 2, 2], dim=1), codebooks(module), strict=True):
        squares = np.square(part.double().numpy()[:, None] - centroids.double().numpy()[None]).sum(axis=2)
        chosen = squares[np.arange(300), codes.numpy()]
        np.testing.assert_allclose(chosen, squares.min(axis=1), rtol=1e-9, atol=1e-12)


def test_once_nothing_moves_each_centroid_is_the_weighted_mean_of_its_rows():
    table, counts = rows_around_centers(300, 6), zipf(300)
    module = fit(table, 2, counts, centroids=8, smoothing=1, iterations=300)

    for codes, part, centroids in zip(module.codes.T, table.split(3, dim=1), codebooks(module), strict=True):
        for number, centroid in enumerate(centroids):
            mine = (codes == number).numpy()
            mean = np.average(part.numpy()[mine], axis=0, weights=(counts + 1).numpy()[mine])
            np.testing.assert_allclose(centroid.numpy(), mean, rtol=0, atol=1e-9)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 12), st.integers(0, 20), st.integers(1, 7), st.integers(0, 100))
def test_no_error_is_left_where_there_are_centroids_for_all_distinct_rows(distinct, more, parts, seed):
    draw = np.random.default_rng(seed)
    rows = draw.normal(size=(distinct, 7))[draw.permutation(np.arange(distinct + more) % distinct)]
    counts = torch.tensor(draw.integers(0, 50, size=len(rows)) + 1.0)
    module = fit(torch.tensor(rows), parts, counts, centroids=max(2, distinct))
    np.testing.assert_allclose(module.dense().numpy(), rows, rtol=0, atol=1e-12)


def test_other_seeds_give_other_codebooks_as_good():
    table = rows_around_centers(500, 8)
    modules = [
        ProductQuantization(centroids=16).fit(table, 2, evidence=Evidence(torch.ones(500)), seed=seed)
        for seed in (0, 1)
    ]
    errors = [(module.dense() - table).square().sum().item() for module in modules]
    assert errors[0] != errors[1]
    assert errors[0] == pytest.approx(errors[1], rel=0.1)


@given(st.integers(1, 2000), st.data())
def test_sub_vectors_share_the_columns_out_as_evenly_as_possible(hidden_size, data):
    count = data.draw(st.integers(1, hidden_size))
    parts = sub_vectors(hidden_size, count)
    widths = [width for parts, width in parts for _ in range(parts)]

    assert len(widths) == count
    assert sum(widths) == hidden_size
    assert widths == sorted(widths, reverse=True)
    assert widths[0] - widths[-1] <= 1
    assert len(parts) == len(set(widths)) <= 2


def test_sizes_of_a_real_table():
    method = ProductQuantization()
    size = method.size(30522, 384, 96)
    assert size.parameters == 256 * 384
    assert size.bytes == 4 * 256 * 384 + 96 * 30522
    # Codes are no parameters: a budget of parameters leaves room for as many as make the table smaller.
    assert method.rank_for_budget(30522, 384, 0.1, "params") == 384
    with pytest.raises(ValueError, match=r"codes per token.*above the 384 columns"):
        method.check_size(30522, 384, 385, allow_larger=True)


def test_a_table_with_fewer_rows_than_centroids_has_as_many_centroids_as_rows():
    module = fit(rows_around_centers(20, 8), 2)
    assert module.centroids == 20
    assert sum(rows.count * rows.width for rows in module.codebooks) == ProductQuantization().parameters(20, 8, 2)


def test_straight_through_starts_from_the_same_codes_with_the_dense_rows_beside_them():
    table = rows_around_centers(100, 8)
    plain, learned = (fit(table, 4, centroids=8, fine_tuning=how) for how in ("centroids", "straight_through"))

    assert plain.latents is None
    assert torch.equal(learned.latents, table)
    assert torch.equal(learned.dense(), plain.dense())
    assert torch.equal(learned.eval().dense(), plain.dense())
