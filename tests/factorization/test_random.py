"""`random` draws factors whose product looks like the table in its variance only."""

import pytest
import torch

from embfact.factorization.random import Random
from embfact.models.size import model_size
from tests.helpers.storages import STORAGES

TABLE = 0.07 * torch.randn(4000, 64, generator=torch.Generator().manual_seed(0)) + 0.5


@pytest.mark.parametrize("rank", [4, 16, 48])
def test_the_product_has_the_variance_of_the_table_and_mean_zero(rank):
    products = torch.stack([Random().fit(TABLE, rank, seed=seed).dense() for seed in range(20)])

    assert products.var().item() == pytest.approx(TABLE.var().item(), rel=0.1)
    assert abs(products.mean().item()) < 0.003


def test_projection_rows_have_a_length_near_one():
    lengths = Random().fit(TABLE, 48).projection.weight.norm(dim=1)
    assert lengths.mean().item() == pytest.approx(1, rel=0.1)


def test_the_seed_alone_decides_the_factors():
    torch.manual_seed(1)
    first = Random().fit(TABLE, 8, seed=5)
    state = torch.random.get_rng_state()
    second = Random().fit(TABLE, 8, seed=5)

    assert torch.equal(first.factors.weight, second.factors.weight)
    assert torch.equal(first.projection.weight, second.projection.weight)
    assert not torch.equal(first.factors.weight, Random().fit(TABLE, 8, seed=6).factors.weight)
    assert torch.equal(torch.random.get_rng_state(), state), "the random state of the run must not move"


def test_the_padding_vector_is_zero_and_the_dtype_is_kept():
    module = Random().fit(TABLE.half(), 8, padding_idx=3)

    assert module.dense().dtype == torch.float16
    assert module.dense()[3].count_nonzero() == 0
    assert module.dense()[2].count_nonzero() > 0


@pytest.mark.parametrize("storage", STORAGES, ids=str)
@pytest.mark.parametrize("shape", [(30, 12), (21, 7)])
def test_the_layout_is_what_is_saved(storage, shape):
    module = Random().fit(TABLE[: shape[0], : shape[1]], 3)
    module.store_tables(storage)
    assert model_size(module) == Random().size(*shape, 3, storage)
