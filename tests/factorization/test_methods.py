"""What holds for every method that replaces a table."""

import pytest
import torch

from embfact.factorization.base import Evidence
from embfact.factorization.evd import EVD
from embfact.factorization.fisher_svd import FisherSVD
from embfact.factorization.hybrid_svd import HybridSVD
from embfact.factorization.kronecker_svd import KroneckerSVD
from embfact.factorization.none import Dense
from embfact.factorization.random import Random
from embfact.factorization.svd import SVD
from embfact.factorization.weighted_svd import WeightedSVD

TWO_FACTORS = [SVD(), EVD(), Random(), WeightedSVD(), FisherSVD(), KroneckerSVD()]
METHODS = [Dense(), *TWO_FACTORS, HybridSVD()]
by_name = pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
EVIDENCE = Evidence(torch.arange(40), torch.arange(40), torch.diag(torch.arange(1, 13)))


def table(dtype=torch.float32):
    return torch.randn(40, 12, generator=torch.Generator().manual_seed(0)).to(dtype)


@by_name
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_the_module_has_the_lookup_of_an_embedding(method, dtype):
    module = method.fit(table(dtype), 5, evidence=EVIDENCE, padding_idx=2)
    vectors = module(torch.tensor([[1, 2, 3], [4, 2, 39]]))

    assert vectors.shape == (2, 3, 12)
    assert vectors.dtype == dtype
    assert (module.num_embeddings, module.embedding_dim, module.padding_idx) == (40, 12, 2)
    torch.testing.assert_close(vectors[0, 1], module.dense()[2])


@by_name
@pytest.mark.parametrize("rank", [2, 5, 9])
def test_the_module_has_as_many_parameters_as_the_formula_says(method, rank):
    module = method.fit(table(), rank, evidence=EVIDENCE)
    assert sum(parameter.numel() for parameter in module.parameters()) == method.parameters(40, 12, rank)


@by_name
def test_fitting_twice_gives_equal_bits(method):
    first, second = (method.fit(table(), 5, evidence=EVIDENCE, seed=1).dense() for _ in range(2))
    assert torch.equal(first, second)


@by_name
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_table_that_is_not_finite_is_refused_with_the_row(method, value):
    damaged = table()
    damaged[7, 3] = damaged[7, 4] = damaged[30, 0] = value
    with pytest.raises(ValueError, match="3 values that are not finite, the first in row 7"):
        method.fit(damaged, 5, evidence=EVIDENCE)


@by_name
@pytest.mark.parametrize(
    "damaged", [torch.zeros(12), torch.zeros(2, 3, 4), torch.zeros(40, 12).int(), torch.zeros(40, 12, device="meta")]
)
def test_what_is_no_table_is_refused(method, damaged):
    with pytest.raises(ValueError, match="must be a V x H matrix of floating-point numbers in memory"):
        method.fit(damaged, 5, evidence=EVIDENCE)


@pytest.mark.parametrize("method", METHODS[1:], ids=lambda method: method.name)
@pytest.mark.parametrize("rank", [None, 0, -3, 13])
def test_a_rank_that_the_table_cannot_take_is_refused(method, rank):
    with pytest.raises(ValueError, match=rf"rank.*{rank}"):
        method.fit(table(), rank, evidence=EVIDENCE)


@pytest.mark.parametrize("method", TWO_FACTORS, ids=lambda method: method.name)
@pytest.mark.parametrize(("shape", "largest"), [((30522, 768), 749), ((30522, 384), 379)])
def test_the_largest_rank_is_the_last_that_shrinks_the_table(method, shape, largest):
    vocab_size, hidden_size = shape

    assert method.largest_rank(vocab_size, hidden_size) == largest
    assert method.parameters(*shape, largest) < vocab_size * hidden_size <= method.parameters(*shape, largest + 1)
    method.check_size(*shape, largest)
    with pytest.raises(ValueError, match=str(largest)):
        method.check_size(*shape, largest + 1)
    method.check_size(*shape, hidden_size, allow_larger=True)


def test_none_keeps_the_table_bit_for_bit_in_a_copy():
    dense = table()
    module = Dense().fit(dense)

    assert torch.equal(module.dense(), dense)
    module.weight.data.zero_()
    assert dense.count_nonzero() > 0
