"""What holds for every method that replaces a table: all that the catalogue lists."""

from copy import deepcopy
from functools import cache

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from embfact.embeddings.build import build_embedding, describe_embedding
from embfact.factorization.base import Evidence, Factorization
from embfact.factorization.hashed import Hashed
from embfact.factorization.none import Dense
from embfact.factorization.product_quantization import ProductQuantization
from embfact.factorization.projective_clustering import ProjectiveClustering
from embfact.factorization.vocabulary_pruning import VocabularyPruning
from embfact.models.size import model_size, saved_bytes
from tests.helpers.methods import AT_MOST, TABLE_METHODS
from tests.helpers.storages import STORAGES

V, H = 40, 12
EVIDENCE = Evidence(torch.arange(40.0), torch.arange(40.0), torch.diag(torch.arange(1.0, 13.0)).double())
SIZED = {name: method for name, method in TABLE_METHODS.items() if method.uses_rank}
# Equal rows come back from every method but these.
LOSSY = {
    "random": "keeps nothing of the table but its variance",
    "tensor_train": "fits rows of zeros as well, where V has no factors",
}
each_method = pytest.mark.parametrize("name", TABLE_METHODS)
each_sized = pytest.mark.parametrize("name", SIZED)


def table(dtype=torch.float32):
    return torch.randn(V, H, generator=torch.Generator().manual_seed(0)).to(dtype)


@cache
def fitted(name, rank):
    return TABLE_METHODS[name].fit(table(), rank, evidence=EVIDENCE, padding_idx=2)


def module_of(name, rank, storage):
    """The module that a method makes of the table, fitted once."""
    module = deepcopy(fitted(name, rank))
    module.store_tables(storage)
    return module


@each_method
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_the_module_has_the_lookup_of_an_embedding(name, dtype):
    module = TABLE_METHODS[name].fit(table(dtype), 5, evidence=EVIDENCE, padding_idx=2)
    vectors = module(torch.tensor([[1, 2, 3], [4, 2, 39]]))

    assert vectors.shape == (2, 3, H)
    assert vectors.dtype == dtype
    assert (module.num_embeddings, module.embedding_dim, module.padding_idx) == (V, H, 2)
    torch.testing.assert_close(vectors[0, 1], module.dense()[2])


@each_method
@pytest.mark.parametrize("storage", STORAGES, ids=str)
def test_parameters_and_bytes_are_those_of_the_formula_and_of_the_saved_file(name, storage, tmp_path):
    method = TABLE_METHODS[name]
    for rank in sorted({max(rank, method.smallest_rank(V, H)) for rank in (1, 4, 7, 9)}):
        module = module_of(name, rank, storage)
        save_file(module.state_dict(), tmp_path / "module.safetensors")

        size, found = method.size(V, H, rank, storage), model_size(module)
        assert saved_bytes(tmp_path / "module.safetensors") == found.bytes
        if name in AT_MOST:
            assert found.parameters <= size.parameters
            assert found.bytes <= size.bytes
        else:
            assert found == size
            assert found.parameters == method.parameters(V, H, rank)


@each_method
@pytest.mark.parametrize("storage", STORAGES, ids=str)
def test_description_and_saved_weights_make_the_module_again(name, storage):
    module = module_of(name, 4, storage)
    other = build_embedding(describe_embedding(module))
    other.load_state_dict(module.state_dict(), strict=True)
    assert torch.equal(other.dense(), module.dense())


@each_method
def test_fitting_twice_gives_equal_bits_and_leaves_the_random_numbers_alone(name):
    state = torch.random.get_rng_state()
    method = TABLE_METHODS[name]
    first, second = (method.fit(table(), 5, evidence=EVIDENCE, seed=1).dense() for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(torch.random.get_rng_state(), state)


@each_method
def test_the_table_is_not_changed_and_shares_no_memory(name):
    dense = table()
    module = TABLE_METHODS[name].fit(dense, 4, evidence=EVIDENCE)
    for tensor in [*module.parameters(), *module.buffers()]:
        tensor.detach().zero_()
    assert torch.equal(dense, table())


@each_method
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_table_that_is_not_finite_is_refused_with_the_row(name, value):
    damaged = table()
    damaged[7, 3] = damaged[7, 4] = damaged[30, 0] = value
    with pytest.raises(ValueError, match="3 values that are not finite, the first in row 7"):
        TABLE_METHODS[name].fit(damaged, 5, evidence=EVIDENCE)


@each_method
@pytest.mark.parametrize(
    "damaged", [torch.zeros(12), torch.zeros(2, 3, 4), torch.zeros(40, 12).int(), torch.zeros(40, 12, device="meta")]
)
def test_what_is_no_table_is_refused(name, damaged):
    with pytest.raises(ValueError, match="must be a V x H matrix of floating-point numbers in memory"):
        TABLE_METHODS[name].fit(damaged, 5, evidence=EVIDENCE)


@each_method
@pytest.mark.parametrize("dense", [torch.zeros(V, H).double(), table(torch.float64)[:1].repeat(V, 1)], ids=["0", "="])
def test_tables_of_zeros_and_of_equal_rows_are_kept(name, dense):
    if name in LOSSY and dense.any():
        pytest.skip(LOSSY[name])
    found = TABLE_METHODS[name].fit(dense, 4, evidence=EVIDENCE).dense()
    torch.testing.assert_close(found, dense, rtol=0, atol=1e-12)


@each_sized
@pytest.mark.parametrize("rank", [None, 0, -3, "too large"])
def test_a_size_that_the_table_cannot_take_is_refused(name, rank):
    method = SIZED[name]
    rank = method.rank_limit(V, H) + 1 if rank == "too large" else rank
    with pytest.raises(ValueError, match=rf"rank.*{rank}"):
        method.fit(table(), rank, evidence=EVIDENCE)


@each_sized
@pytest.mark.parametrize("shape", [(30522, 768), (30522, 384)])
def test_the_largest_rank_is_the_last_that_shrinks_the_table(name, shape):
    method, dense = SIZED[name], 4 * shape[0] * shape[1]
    largest, limit = method.largest_rank(*shape), method.rank_limit(*shape)

    assert method.size(*shape, largest).bytes < dense
    assert largest == limit or dense <= method.size(*shape, largest + 1).bytes
    if type(method).layout is Factorization.layout:  # r (V + H) < V H
        assert largest == {768: 749, 384: 379}[shape[1]]
    method.check_size(*shape, largest)
    with pytest.raises(ValueError, match=str(largest)):
        method.check_size(*shape, largest + 1)
    method.check_size(*shape, limit, allow_larger=True)


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_a_budget_gives_the_largest_size_that_fits(data):
    method, storage = data.draw(st.sampled_from([*SIZED.values()])), data.draw(st.sampled_from(STORAGES))
    shape = data.draw(st.integers(200, 40_000)), data.draw(st.integers(8, 1024))
    budget, unit = data.draw(st.floats(0.5, 0.9)), data.draw(st.sampled_from(["bytes", "params"]))

    def share(rank):
        size = method.size(*shape, rank, storage)
        return size.parameters / (shape[0] * shape[1]) if unit == "params" else size.bytes / (4 * shape[0] * shape[1])

    assume(share(1) <= budget)  # a smaller one is refused
    rank = method.rank_for_budget(*shape, budget, unit, storage)
    assert share(rank) <= budget
    assert share(rank + 1) > budget or rank == method.largest_rank(*shape, storage)
    method.check_size(*shape, rank, storage=storage)


@pytest.mark.parametrize("name", [name for name, method in TABLE_METHODS.items() if method.needs])
def test_evidence_that_is_missing_is_refused_in_words(name):
    method = TABLE_METHODS[name]
    with pytest.raises(ValueError, match=f"{method.name} needs"):
        method.fit(table(), 5)
    if "token_counts" in method.needs:
        with pytest.raises(ValueError, match=r"needs token counts \(found none\)"):
            method.fit(table(), 5, evidence=Evidence(None, EVIDENCE.row_gradients, EVIDENCE.gradient_metric))
        zeros = Evidence(torch.zeros(V), EVIDENCE.row_gradients, EVIDENCE.gradient_metric)
        with pytest.raises(ValueError, match="all token counts are 0"):
            method.fit(table(), 5, evidence=zeros)


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


def test_none_keeps_the_table_bit_for_bit_in_a_copy():
    dense = table()
    module = Dense().fit(dense)

    assert torch.equal(module.dense(), dense)
    module.weight.data.zero_()
    assert dense.count_nonzero() > 0
