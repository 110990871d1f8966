"""What a model has to beat: the majority class, and a linear model on which tokens a text holds.

A task whose dense model does not clearly beat both says nothing about embeddings.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch

from embfact.data.tokenized import Tokenized
from embfact.system.lock import built_once
from embfact.system.tensor_files import read_tensors, write_tensors
from embfact.tasks.metrics import score

log = logging.getLogger(__name__)

Baselines = dict[str, dict[str, dict[str, float | None]]]

MOST_ROWS = 50_000
"""Largest number of training rows for the linear model; of more rows this many are drawn with seed 0."""

FORMAT = 1  # part of the file names: raise it when the computation changes
MAJORITY, BAG = "majority", "bag_of_tokens"


def baselines(
    train: Tokenized, reports: Mapping[str, Tokenized], metrics: Sequence[str], outputs: int, cache_dir: str | Path
) -> Baselines:
    """Metrics of both on each reported split, computed once for the same rows and cached in ``references/``.

    Nothing is chosen by looking at rows: the regularisation is fixed (C = 1 for classes, alpha = 1 for a regression).
    The number of outputs is that of the classes, or 1 for a regression.

    Returns:
        Split -> ``majority`` or ``bag_of_tokens`` -> metric -> value; None if it is undefined.
    """
    path = _path(train, reports, metrics, outputs, cache_dir)
    found = read_tensors(path)
    if found is None:
        with built_once(path):
            found = read_tensors(path)
            if found is None:
                found = _measure(train, reports, metrics, outputs)
                write_tensors(path, found)
    value = {name: float(number) if torch.isfinite(number) else None for name, number in found.items()}
    return {
        split: {name: {metric: value[f"{split}/{name}/{metric}"] for metric in metrics} for name in (MAJORITY, BAG)}
        for split in reports
    }


def _path(
    train: Tokenized, reports: Mapping[str, Tokenized], metrics: Sequence[str], outputs: int, cache_dir: str | Path
) -> Path:
    decisive = [FORMAT, MOST_ROWS, list(reports), list(metrics), outputs]
    digest = hashlib.sha256(json.dumps(decisive).encode())
    for rows in (train, *reports.values()):
        for values in (rows.lengths, rows.tokens, np.asarray(rows.labels)):
            digest.update(f"{values.dtype} {values.shape}".encode())
            digest.update(values.tobytes())
    return Path(cache_dir).expanduser() / "references" / f"{digest.hexdigest()}.safetensors"


def _measure(
    train: Tokenized, reports: Mapping[str, Tokenized], metrics: Sequence[str], outputs: int
) -> dict[str, torch.Tensor]:
    """Value of every split, baseline and metric, named ``split/baseline/metric``; NaN if it is undefined."""
    start = perf_counter()
    labels = np.asarray(train.labels)
    chosen = np.arange(len(labels))
    if len(chosen) > MOST_ROWS:
        chosen = np.sort(np.random.default_rng(0).choice(len(chosen), MOST_ROWS, replace=False))
    width = 1 + max(int(rows.tokens.max(initial=0)) for rows in (train, *reports.values()))
    linear = _fitted(_bags(train, width)[chosen], labels[chosen], outputs)
    constant = labels.mean() if outputs == 1 else np.bincount(labels, minlength=outputs)
    values = {}
    for split, rows in reports.items():
        scores = {MAJORITY: np.tile(constant, (len(rows), 1)), BAG: linear(_bags(rows, width))}
        for name, logits in scores.items():
            for metric, value in score(metrics, logits, np.asarray(rows.labels)).items():
                values[f"{split}/{name}/{metric}"] = torch.tensor(math.nan if value is None else value).double()
    log.info("baselines of %d rows measured in %.1f s", len(chosen), perf_counter() - start)
    return values


def _bags(rows: Tokenized, width: int) -> Any:
    """Which tokens each row holds, sparse, shape ``(n, width)``."""
    from scipy.sparse import csr_array

    ends = np.concatenate([[0], np.cumsum(rows.lengths)])
    bags = csr_array((np.ones(len(rows.tokens), dtype=np.float32), rows.tokens, ends), shape=(len(rows), width))
    bags.sum_duplicates()
    bags.data[:] = 1
    return bags


def _fitted(bags: Any, labels: np.ndarray, outputs: int) -> Any:
    """A function from bags to the scores ``(n, outputs)`` of a linear model of tf-idf weights."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.feature_extraction.text import TfidfTransformer
    from sklearn.linear_model import LogisticRegression, Ridge
    from threadpoolctl import threadpool_limits

    weights = TfidfTransformer().fit(bags)
    model = Ridge(solver="sparse_cg") if outputs == 1 else LogisticRegression(max_iter=300)
    classes = np.unique(labels)
    if outputs > 1 and len(classes) == 1:
        return lambda others: np.tile(np.arange(outputs) == classes[0], (others.shape[0], 1)).astype(float)
    with threadpool_limits(limits=1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(weights.transform(bags), labels)

    def scores(others: Any) -> np.ndarray:
        features = weights.transform(others)
        if outputs == 1:
            return model.predict(features)[:, None]
        found = np.zeros((features.shape[0], outputs))  # a class without training rows is never predicted
        found[:, classes] = model.predict_proba(features)
        return found

    return scores
