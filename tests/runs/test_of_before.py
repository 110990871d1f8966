"""Runs that were trained before modules moved: their files are read, and they are found as finished."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from embfact.runs.config_file import read_config
from embfact.runs.identity import identify
from embfact.runs.record import read

BEFORE = Path(__file__).parent / "of_before"
FACTORIZATIONS = [
    "albert.Albert",
    "distilled.Distilled",
    "evd.EVD",
    "fisher_svd.FisherSVD",
    "group_svd.GroupSVD",
    "hashed.Hashed",
    "hybrid_svd.HybridSVD",
    "kronecker.Kronecker",
    "kronecker_svd.KroneckerSVD",
    "none.Dense",
    "product_quantization.ProductQuantization",
    "projective_clustering.ProjectiveClustering",
    "random.Random",
    "svd.SVD",
    "tensor_train.TensorTrain",
    "vocabulary_pruning.VocabularyPruning",
    "weighted_svd.WeightedSVD",
]
LAUNCHERS = [
    "parallel.ParallelLauncher",
    "ray_tasks.RayLauncher",
    "slurm.SlurmLauncher",
    "submitit_jobs.LocalLauncher",
    "work.do_run",
]
PATHS = [f"embfact.factorization.{name}" for name in FACTORIZATIONS] + [
    f"embfact.launchers.{name}" for name in LAUNCHERS
]


def test_a_run_is_the_same_run() -> None:
    record, found = read(BEFORE), identify(read_config(BEFORE))
    # Newer libraries, and a version of embfact with other results, make another run of it by right.
    decided = {"versions": None, "results_version": None}
    # Options that came with such a version have the value that makes no difference.
    added = {name: found.science["data"].pop(name) for name in ("drop_reported",)}
    assert added == {"drop_reported": False}
    assert found.science | decided == record.science | decided
    if found.science == record.science:
        assert (found.hash, found.name) == (record.hash, record.name)


@pytest.mark.parametrize("path", PATHS)
def test_class_paths_of_saved_configurations(path: str) -> None:
    module, _, name = path.rpartition(".")
    assert callable(getattr(import_module(module), name))
