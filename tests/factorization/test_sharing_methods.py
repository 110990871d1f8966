"""What holds for every method whose tokens share centroids, subspaces, buckets or a row."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from embfact.embeddings.build import build_embedding, describe_embedding
from embfact.factorization.base import Evidence
from embfact.factorization.hashed import Hashed
from embfact.factorization.product_quantization import ProductQuantization
from embfact.factorization.projective_clustering import ProjectiveClustering
from embfact.factorization.vocabulary_pruning import VocabularyPruning
from embfact.models.size import model_size, saved_bytes
from tests.helpers.storages import STORAGES

METHODS = [
    ProductQuantization(centroids=8),
    ProductQuantization(centroids=8, fine_tuning="straight_through"),
    ProjectiveClustering(subspaces=3),
    VocabularyPruning(),
    Hashed(hashes=3),
]
EVIDENCE = Evidence(torch.arange(40.0))
each_method = pytest.mark.parametrize(
    "method", METHODS, ids=lambda method: f"{method.name}-{getattr(method, 'fine_tuning', 'closed')}"
)


def table(dtype=torch.float32, width=10):
    return torch.randn(40, width, generator=torch.Generator().manual_seed(0)).to(dtype)


@each_method
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_the_module_has_the_lookup_of_an_embedding(method, dtype):
    module = method.fit(table(dtype), 4, evidence=EVIDENCE, padding_idx=2)
    vectors = module(torch.tensor([[1, 2, 3], [4, 2, 39]]))

    assert vectors.shape == (2, 3, 10)
    assert vectors.dtype == dtype
    assert (module.num_embeddings, module.embedding_dim, module.padding_idx) == (40, 10, 2)
    torch.testing.assert_close(vectors[0, 1], module.dense()[2])


@each_method
@pytest.mark.parametrize("storage", STORAGES, ids=str)
@pytest.mark.parametrize("rank", [1, 4, 7])
def test_parameters_and_bytes_are_those_of_the_formula_and_of_the_saved_file(method, storage, rank, tmp_path):
    module = method.fit(table(), rank, evidence=EVIDENCE)
    module.store_tables(storage)
    save_file(module.state_dict(), tmp_path / "module.safetensors")

    assert model_size(module) == method.size(40, 10, rank, storage)
    assert saved_bytes(tmp_path / "module.safetensors") == method.size(40, 10, rank, storage).bytes


@each_method
@pytest.mark.parametrize("storage", STORAGES, ids=str)
def test_description_and_saved_weights_make_the_module_again(method, storage):
    module = method.fit(table(), 4, evidence=EVIDENCE, padding_idx=2)
    module.store_tables(storage)
    other = build_embedding(describe_embedding(module))
    other.load_state_dict(module.state_dict(), strict=True)
    assert torch.equal(other.dense(), module.dense())


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_budget_gives_the_largest_size_that_fits(data):
    method, storage = data.draw(st.sampled_from(METHODS)), data.draw(st.sampled_from(STORAGES))
    vocab_size, hidden_size = data.draw(st.integers(200, 40_000)), data.draw(st.integers(8, 1024))
    budget, unit = data.draw(st.floats(0.5, 0.9)), data.draw(st.sampled_from(["bytes", "params"]))

    rank = method.rank_for_budget(vocab_size, hidden_size, budget, unit, storage)

    def share(rank):
        size = method.size(vocab_size, hidden_size, rank, storage)
        return (
            size.parameters / (vocab_size * hidden_size)
            if unit == "params"
            else size.bytes / (4 * vocab_size * hidden_size)
        )

    assert share(rank) <= budget
    assert share(rank + 1) > budget or rank == method.largest_rank(vocab_size, hidden_size, storage)
    method.check_size(vocab_size, hidden_size, rank, storage=storage)


@each_method
def test_fitting_twice_gives_equal_bits_and_leaves_the_random_numbers_alone(method):
    state = torch.random.get_rng_state()
    first, second = (method.fit(table(), 4, evidence=EVIDENCE, seed=1).dense() for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(torch.random.get_rng_state(), state)


@each_method
def test_the_table_is_not_changed_and_shares_no_memory(method):
    dense = table()
    module = method.fit(dense, 4, evidence=EVIDENCE)
    for tensor in [*module.parameters(), *module.buffers()]:
        tensor.detach().zero_()
    assert torch.equal(dense, table())


@each_method
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_table_that_is_not_finite_is_refused_with_the_row(method, value):
    damaged = table()
    damaged[7, 3] = damaged[30, 0] = value
    with pytest.raises(ValueError, match="2 values that are not finite, the first in row 7"):
        method.fit(damaged, 4, evidence=EVIDENCE)


@each_method
@pytest.mark.parametrize("rank", [None, 0, -3, 40])
def test_a_size_that_the_table_cannot_take_is_refused(method, rank):
    with pytest.raises(ValueError, match=rf"rank.*{rank}"):
        method.fit(table(), rank, evidence=EVIDENCE)


@each_method
def test_tables_of_zeros_and_of_equal_rows_are_kept(method):
    for dense in torch.zeros(40, 10, dtype=torch.float64), table(torch.float64)[:1].repeat(40, 1):
        found = method.fit(dense, 4, evidence=EVIDENCE).dense()
        torch.testing.assert_close(found, dense, rtol=0, atol=1e-12)


@pytest.mark.parametrize("method", [m for m in METHODS if m.needs], ids=lambda method: method.name)
def test_counts_that_are_missing_or_all_zero_are_refused_in_words(method):
    with pytest.raises(ValueError, match=f"{method.name} needs token counts .found none."):
        method.fit(table(), 4)
    with pytest.raises(ValueError, match="all token counts are 0"):
        method.fit(table(), 4, evidence=Evidence(torch.zeros(40)))


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (ProductQuantization, {"centroids": 1}),
        (ProductQuantization, {"centroids": 257}),
        (ProductQuantization, {"smoothing": 0}),
        (ProductQuantization, {"iterations": 0}),
        (ProductQuantization, {"fine_tuning": "codes"}),
        (ProjectiveClustering, {"subspaces": 0}),
        (ProjectiveClustering, {"subspaces": 257}),
        (ProjectiveClustering, {"starts": 0}),
        (ProjectiveClustering, {"rounds": 0}),
        (VocabularyPruning, {"smoothing": -1}),
        (VocabularyPruning, {"smoothing": float("nan")}),
        (Hashed, {"hashes": 0}),
        (Hashed, {"smoothing": 0}),
        (Hashed, {"rounds": 0}),
    ],
)
def test_options_that_mean_nothing_are_refused(kind, options):
    with pytest.raises(ValueError, match=next(iter(options))):
        kind(**options)
