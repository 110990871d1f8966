"""Sweeps as they lie on disk, made without training."""

from __future__ import annotations

import itertools
import json
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from embfact.results.statistics.metrics import plain_metric
from embfact.runs.record import PREDICTIONS
from tests.helpers.records import make_values
from tests.helpers.sweeps import SPLIT, simulate

HOSTILE = "<img src=x onerror=alert(1)>"
METHODS = ("evd", "fisher_svd", "group_svd", "hashed", "hybrid_svd", "kronecker_svd", "random", "svd", "tt_svd")
METHODS += ("weighted_svd",)
RANKS = (8, 16, 24, 32, 48, 64, 96, 128, 192, 256)


def write_run(folder: Path, values: dict[str, Any], points: int = 0) -> Path:
    """Write one run directory: the record, and a learning curve of so many losses."""
    directory = folder / values["hash"][:16]
    directory.mkdir(parents=True)
    (directory / "record.json").write_text(json.dumps(values))
    if points:
        losses = [f"0,{10 * step},{0.2 + math.exp(-step / 20):.6f}," for step in range(1, points + 1)]
        lines = ["epoch,step,train/loss,selection/accuracy", *losses, f"0,{10 * points},,0.9"]
        (directory / "metrics.csv").write_text("\n".join(lines) + "\n")
    return directory


def write_small(folder: Path) -> Path:
    """Write three runs: the dense model, one of rank 64, and one that failed."""
    write_run(folder, make_values("none", None, metrics={"validation": {"accuracy": 0.9}}), points=20)
    write_run(folder, make_values("svd", 64, metrics={"validation": {"accuracy": 0.85}}), points=300)
    write_run(folder, make_values("svd", 32, error="out of memory at step 7"))
    return folder


def write_rates(folder: Path) -> Path:
    """Write dense and svd at two learning rates, and a method at a third one; two seeds each."""
    scores = {1e-5: {"none": 0.542, "svd": 0.50}, 1e-4: {"none": 0.698, "svd": 0.65}, 1e10: {"random": 0.55}}
    for rate, found in scores.items():
        for method, accuracy in found.items():
            for rank in (None,) if method == "none" else (16, 64, 128):
                for seed in (0, 1):
                    value = accuracy + (rank or 0) / 4000 + (seed - 0.5) / 100
                    figures = {"metrics": {"validation": {"accuracy": value}}}
                    values = make_values(method, rank, seed, options={"optimizer": {"lr": rate}}, **figures)
                    values["config"] = {"optimizer": {"lr": rate, "betas": [0.9, 0.999]}, "max_steps": 123456789}
                    write_run(folder, values)
    return folder


def write_medium(folder: Path) -> Path:
    """Write 30 runs with predictions and curves: dense, two methods and one that learns nothing, at three ranks.

    Three seeds each. ``weighted_svd`` is trained with another learning rate of its table.
    """
    skills = {"none": 1.3, "svd": 1.0, "weighted_svd": 1.25, "random": -10.0}
    generator = np.random.default_rng(0)
    for method, skill in skills.items():
        # What learns nothing is the smallest.
        for rank in (None,) if method == "none" else (8 if method == "random" else 16, 64, 128):
            right = skill - (4 / rank if rank else 0)
            found = simulate(3, 872, generator, right=right, seed_sd=0.03)
            rate = 3.0 if method == "weighted_svd" else 1.0
            for seed, predictions in enumerate(found.predictions if method != "random" else np.zeros((3, 872), int)):
                figures = {SPLIT: {"accuracy": plain_metric("accuracy", found.labels, predictions)}}
                options = {"optimizer": {"lr": 2e-5, "embedding_lr": rate}}
                values = make_values(method, rank, seed, metrics=figures, options=options)
                values["config"] = {**options, "rank": rank, "seed": seed, "factorization": {"center": method == "svd"}}
                values["baselines"] = {SPLIT: {"majority": {"accuracy": 0.5}, "bag_of_tokens": {"accuracy": 0.7}}}
                directory = write_run(folder, values | {"experiment": "methods"}, points=40 + 5 * seed)
                columns = {"split": [SPLIT] * 872, "id": found.ids, "label": found.labels}
                logits = np.eye(2, dtype=np.float32)[predictions].tolist()
                pq.write_table(pa.table(columns | {"logits": logits}), directory / PREDICTIONS)
    return folder


def write_budget(folder: Path) -> Path:
    """Write two methods that have other ranks at the same size, and dense."""
    write_run(folder, make_values("none", None))
    for method, rank in (("svd", 64), ("tensor_train", 60)):
        values = make_values(method, rank, asked="b0.1")
        values["size"] = make_values("svd", 64)["size"]
        write_run(folder, values)
    return folder


def write_noisy(folder: Path) -> Path:
    """Write one run whose loss goes up and down."""
    directory = write_run(folder, make_values("svd", 64))
    lines = [f"0,{10 * step},{0.5 + 0.2 * (-1) ** step}," for step in range(1, 81)]
    (directory / "metrics.csv").write_text("\n".join(["epoch,step,train/loss,selection/accuracy", *lines]) + "\n")
    return folder


def write_hostile(folder: Path) -> Path:
    """Write runs whose every text is markup."""
    markup = {"name": HOSTILE, "experiment": HOSTILE, "tags": [HOSTILE], "versions": {HOSTILE: HOSTILE}}
    text = f"</script><script>alert(1)</script>{HOSTILE}\u2028"
    figures = {f"{HOSTILE}": {f"{HOSTILE} a": 0.9, "<b>bold</b>": 0.8}}
    given = {"data": HOSTILE, "note": HOSTILE, "origin": HOSTILE}
    runs = (
        make_values("none", None, metrics=figures, **given),
        make_values(HOSTILE, 64, metrics=figures, size_name=HOSTILE, options={HOSTILE: HOSTILE}, **given),
        make_values(HOSTILE, 32, metrics=figures, options={HOSTILE: "%{x}"}, **given),
        make_values(HOSTILE, 16, error=f"{HOSTILE}</script><script>alert(1)</script>", **given),
    )
    for place, values in enumerate(runs):
        config = {HOSTILE: {HOSTILE: f"{text}{place}"}, "__proto__": [HOSTILE]}
        write_run(folder, values | markup | {"config": config}, points=3)
    return folder


def write_large(folder: Path, seeds: int = 10) -> Path:
    """Write 200 runs a seed: ten methods at ten ranks on two data sets; some of them failed."""
    draw = random.Random(0)
    config = {f"section{one}": {f"option{two}": [one, two] for two in range(10)} for one in range(6)}
    for data, method, rank, seed in itertools.product(("rte", "sst2"), METHODS, RANKS, range(seeds)):
        dense = method == "evd" and rank == 8  # the first of them stand for the dense model
        failed = draw.random() < 0.01
        value = 0.9 - 0.3 * 0.5 ** (1 + rank / (20 + 5 * METHODS.index(method))) + draw.gauss(0, 0.004)
        values = make_values(
            "none" if dense else method,
            None if dense else rank,
            seed,
            data,
            metrics={"validation": {"accuracy": 0.92 if dense else value, "f1": value - 0.01}},
            error="the loss is nan at step 7" if failed else None,
        )
        values["config"] = {**config, "factorization": {"name": method}, "rank": rank, "seed": seed}
        values["seconds"]["total"] = round(draw.uniform(40, 60), 3)
        write_run(folder, values, points=150)
    return folder
