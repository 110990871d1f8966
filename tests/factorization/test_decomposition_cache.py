"""A table is decomposed once: by content, in memory and on disk, with the bits of a fresh decomposition."""

from itertools import permutations

import numpy as np
import pytest
import torch

from embfact.factorization import decomposition_cache
from embfact.factorization.base import Evidence
from embfact.factorization.decomposition_cache import decompose, forget, kept_in
from embfact.factorization.hybrid_svd import HybridSVD
from embfact.factorization.kronecker_svd import KroneckerSVD
from embfact.factorization.registry import methods
from embfact.factorization.spectral import Spectral
from embfact.factorization.svd import SVD

COUNTS = torch.arange(60, dtype=torch.float64)
EVIDENCE = Evidence(COUNTS, COUNTS + 1, torch.diag(torch.arange(1, 17, dtype=torch.float64)))
METHODS = [method() for method in methods().values() if issubclass(method, Spectral)]
METHODS += [SVD(center=True), KroneckerSVD(center=True)]
each_method = pytest.mark.parametrize("method", METHODS, ids=lambda m: f"{m.name}{'-centred' * m.center}")


def table_of(seed=0, dtype=torch.float32, shape=(60, 16)):
    return torch.tensor(np.random.default_rng(seed).normal(size=shape), dtype=dtype)


def fit(method, table, rank):
    return method.fit(table, rank, evidence=EVIDENCE)


def same(first, second):
    return all(map(torch.equal, first.state_dict().values(), second.state_dict().values()))


@pytest.fixture(autouse=True)
def _nothing_kept():
    forget()
    yield
    forget()


@pytest.fixture
def computed(monkeypatch):
    """The routes of all decompositions that were really computed."""
    routes, compute = [], decomposition_cache.principal_axes

    def note(table, row_weights, route, **options):
        routes.append(route)
        return compute(table, row_weights, route, **options)

    monkeypatch.setattr(decomposition_cache, "principal_axes", note)
    return routes


@each_method
def test_ranks_in_any_order_are_prefixes_of_one_decomposition(method, computed):
    table, fresh = table_of(), {}
    for rank in (2, 5, 13):
        forget()
        fresh[rank] = fit(method, table, rank)
    for order in permutations(fresh):
        forget()
        computed.clear()
        assert all(same(fit(method, table, rank), fresh[rank]) for rank in (*order, *order))
        assert len(computed) == 1


def test_columns_of_more_than_one_step_are_prefixes_too(computed):
    table = table_of(shape=(400, 300))
    ranks = [300, 3, 128, 129, 20, 256, 257]
    for order in (ranks, sorted(ranks)):
        forget()
        modules = {rank: SVD().fit(table, rank) for rank in order}
        for rank, module in modules.items():
            assert torch.equal(module.factors.weight, modules[300].factors.weight[:, :rank])
            assert torch.equal(module.projection.weight, modules[300].projection.weight[:rank])
    assert len(computed) == 2


def test_energy_and_rank_share_a_decomposition(computed):
    table = table_of()
    SVD().fit(table, SVD().rank_for_energy(table, 0.9))
    assert len(computed) == 1


def test_evd_shares_that_of_svd_and_the_other_methods_have_their_own(computed):
    table = table_of()
    for method in METHODS:
        fit(method, table, 4)
    assert len(computed) == len(METHODS) - 1


def test_exact_rows_that_are_set_share_the_factors_of_the_others(computed):
    for rank in (6, 9, 12):
        fit(HybridSVD(exact_rows=5), table_of(), rank)
    assert len(computed) == 1


@pytest.mark.parametrize("change", ["one number", "through .data", "through numpy", "a sign of zero", "dtype", "shape"])
def test_another_content_is_decomposed_anew(change, computed):
    table = table_of()
    table[5, 5] = 0
    SVD().fit(table, 4)
    with torch.no_grad():
        if change == "one number":
            table[59, 15] += 1e-3
        elif change == "through .data":
            table.data[0, 0] = 7
        elif change == "through numpy":
            table.numpy()[30, 3] = 7
        elif change == "a sign of zero":
            table[5, 5] = -0.0
        elif change == "dtype":
            table = table.double()
        else:
            table = table.view(30, 32)
    found = SVD().fit(table, 4)

    assert len(computed) == 2
    forget()
    assert same(found, SVD().fit(table, 4))


def test_another_weight_metric_route_mean_or_seed_is_decomposed_anew(computed):
    table = table_of(shape=(600, 300))
    weights = torch.ones(600, dtype=torch.float64)
    decompose(table, weights)
    decompose(table, weights.index_fill(0, torch.tensor([3]), 2))
    for options in ({}, {"route": "qr"}, {"center": True}):
        decompose(table, **options)
    for seed in (0, 1):
        decompose(table, route="randomized", rank=3, seed=seed)
    assert len(computed) == 7


def test_the_same_numbers_elsewhere_are_the_same_table(computed):
    table = table_of(dtype=torch.bfloat16)
    wide = torch.zeros(60, 40, dtype=torch.bfloat16)
    wide[:, 7:23] = table
    first, second, third = (SVD().fit(rows, 4) for rows in (table, wide[:, 7:23], table.T.contiguous().T))
    assert same(first, second)
    assert same(first, third)
    assert len(computed) == 1


@each_method
def test_training_a_module_leaves_what_is_kept_alone(method):
    for dtype in (torch.float32, torch.float64):
        table = table_of(dtype=dtype)
        first = fit(method, table, 16)
        expected = {name: tensor.clone() for name, tensor in first.state_dict().items()}
        with torch.no_grad():
            for parameter in first.parameters():
                parameter.add_(1)
        assert all(torch.equal(expected[name], tensor) for name, tensor in fit(method, table, 16).state_dict().items())


def test_the_oldest_are_dropped_and_one_is_always_kept(monkeypatch, computed):
    tables = [table_of(seed) for seed in range(5)]
    one = decompose(tables[0]).axes.axes.numel() * 8 + 60 * 16 * 4
    monkeypatch.setattr(decomposition_cache, "KEPT_BYTES", 3 * one)
    for table in tables:
        SVD().fit(table, 16)
    assert sum(kept.bytes for kept in decomposition_cache._kept.values()) <= 3 * one

    computed.clear()
    SVD().fit(tables[4], 3)
    SVD().fit(tables[0], 3)
    assert len(computed) == 1
    monkeypatch.setattr(decomposition_cache, "KEPT_BYTES", 0)
    computed.clear()
    for _ in range(3):
        SVD().fit(tables[1], 3)
    assert len(computed) == 1


def test_they_are_dropped_on_request(computed):
    for _ in range(2):
        SVD().fit(table_of(), 3)
        forget()
    assert len(computed) == 2


@pytest.fixture
def small_files(monkeypatch):
    """Decompositions of any size are worth a file."""
    monkeypatch.setattr(decomposition_cache, "WORTH_A_FILE", 0)


@each_method
@pytest.mark.usefixtures("small_files")
def test_another_process_reads_them_from_disk(method, tmp_path, computed):
    with kept_in(tmp_path / "made" / "by it"):
        written = fit(method, table_of(), 5)
        forget()
        read = fit(method, table_of(), 5)
        larger = fit(method, table_of(), 11)
    forget()

    assert len(computed) == 1
    assert same(read, written)
    assert same(larger, fit(method, table_of(), 11))
    assert [path.suffix for path in (tmp_path / "made" / "by it").iterdir()] == [".safetensors"]


@pytest.mark.usefixtures("small_files")
def test_energy_read_from_disk_is_what_was_written(tmp_path):
    method = SVD(route="randomized", center=True)
    table = table_of(shape=(600, 300)) / torch.arange(1, 301).sqrt()
    ranks = []
    with kept_in(tmp_path):
        for _ in range(2):
            forget()
            ranks.append([method.rank_for_energy(table, energy) for energy in (0.2, 0.5, 0.9)])
    assert ranks[0] == ranks[1]


@pytest.mark.parametrize("damage", ["empty", "cut short", "one bit", "something else", "a folder"])
@pytest.mark.usefixtures("small_files")
def test_a_damaged_file_is_computed_anew(damage, tmp_path, computed, caplog):
    with kept_in(tmp_path):
        expected = SVD().fit(table_of(), 5)
        (path,) = tmp_path.iterdir()
        whole = path.read_bytes()
        if damage == "a folder":
            path.unlink()
            path.mkdir()
        else:
            flipped = whole[:-100] + bytes([whole[-100] ^ 1]) + whole[-99:]
            contents = {"empty": b"", "cut short": whole[:-7], "one bit": flipped, "something else": b"[" * 999}
            path.write_bytes(contents[damage])
        forget()
        assert same(SVD().fit(table_of(), 5), expected)
    assert len(computed) == 2
    if damage == "a folder":
        assert "could not write to the cache" in caplog.text
    else:
        assert path.read_bytes() == whole
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.usefixtures("small_files")
def test_a_directory_that_cannot_be_written_costs_the_cache_alone(tmp_path, caplog):
    (tmp_path / "file").write_text("in the way")
    with kept_in(tmp_path / "file"):
        found = SVD().fit(table_of(), 5)
    assert "could not write to the cache" in caplog.text
    forget()
    assert same(found, SVD().fit(table_of(), 5))


def test_small_tables_are_not_written(tmp_path):
    with kept_in(tmp_path):
        SVD().fit(table_of(), 5)
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("small_files")
def test_nothing_is_written_outside_of_the_block(tmp_path):
    def interrupted():
        with kept_in(tmp_path / "outer"):
            with kept_in(tmp_path / "inner"):
                SVD().fit(table_of(0), 5)
            SVD().fit(table_of(1), 5)
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        interrupted()
    SVD().fit(table_of(2), 5)
    assert [len(list((tmp_path / name).iterdir())) for name in ("outer", "inner")] == [1, 1]
