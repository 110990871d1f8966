"""What replaced the table is trained at a rate of its own; a dense table, which has none, is trained once."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from transformers import AutoConfig, AutoModelForSequenceClassification

from embfact.config.compose import read_request
from embfact.config.run_config import RunConfig
from embfact.factorization.base import Evidence
from embfact.models.compress import compress
from embfact.models.trainable import freeze
from embfact.runs.identity import identify, science
from embfact.tasks.sequence_classification import SequenceClassification

V = 60
COUNTS = Evidence(token_counts=torch.arange(1.0, V + 1, dtype=torch.float64))
TABLE, BLOCK = "bert.embeddings.word_embeddings.", "bert.embeddings."


@pytest.fixture
def composed(conf: Path, tiny: list[str]) -> Callable[..., RunConfig]:
    def compose(*words: str) -> RunConfig:
        return read_request(conf, [*tiny, *words], multirun=False).configs[0]

    return compose


def rates(config: RunConfig, rank: int | None) -> dict[str, tuple[float, float]]:
    """Learning rate and decay of every weight that is trained, by name."""
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    model = AutoModelForSequenceClassification.from_config(AutoConfig.for_model("bert", vocab_size=V, **shape))
    compress(model, config.factorization, rank, evidence=COUNTS)
    freeze(model, config.trainable)
    groups = SequenceClassification(model, config.optimizer, ["accuracy"]).parameter_groups()
    found = {id(p): (group["lr"], group["weight_decay"]) for group in groups for p in group["params"]}
    assert len(found) == sum(len(group["params"]) for group in groups)
    return {name: found[id(p)] for name, p in model.named_parameters() if id(p) in found}


# The optimizer


@pytest.mark.parametrize(
    ("method", "rank", "own"),
    [
        ("none", None, ()),
        ("svd", 4, (TABLE,)),
        ("hybrid_svd", 4, (TABLE,)),
        ("product_quantization", 4, (TABLE,)),
        ("hashed", 20, (TABLE,)),
        ("vocabulary_pruning", 20, (TABLE,)),
        ("albert", 4, (BLOCK,)),
    ],
)
def test_all_of_what_replaced_the_table_and_nothing_else_has_the_factor(
    method: str, rank: int | None, own: tuple[str, ...], composed: Callable[..., RunConfig]
) -> None:
    small = {"hybrid_svd": ["factorization.exact_rows=4"], "product_quantization": ["factorization.centroids=16"]}
    options = ["optimizer.lr=1e-3", "optimizer.embedding_lr=3", *small.get(method, [])]
    found = rates(composed(f"factorization={method}", *options), rank)
    for name, (rate, decay) in found.items():
        assert rate == pytest.approx(3e-3 if name.startswith(own) and own else 1e-3), name
        assert decay == (0.0 if name.endswith(".bias") or "LayerNorm" in name else 0.01), name
    assert any(name.startswith(own or ("classifier",)) for name in found)


@pytest.mark.parametrize("trainable", ["factors", "projection"])
def test_the_head_keeps_the_plain_rate_where_the_embedding_alone_is_trained_with_it(
    trainable: str, composed: Callable[..., RunConfig]
) -> None:
    found = rates(composed(f"trainable={trainable}", "optimizer.lr=1e-3", "optimizer.embedding_lr=0.1"), 4)
    assert {name for name, (rate, _) in found.items() if rate == 1e-3} == {"classifier.weight", "classifier.bias"}
    own = [rate for name, (rate, _) in found.items() if name.startswith(TABLE)]
    assert own == pytest.approx([1e-4] * (2 if trainable == "factors" else 1))


# A run


def curve(directory: Path) -> dict[str, np.ndarray]:
    with (directory / "metrics.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["train/loss"]]
    names = ("optimizer/lr", "optimizer/embedding_lr")
    return {name: np.array([float(row[name]) for row in rows if row[name]]) for name in names}


def test_both_rates_rise_and_fall_together_and_are_in_the_learning_curve(
    train: Any, tiny: list[str], tmp_path: Path
) -> None:
    words = ["trainer.max_steps=null", "trainer.batch_size=4", "trainer.epochs=2", "optimizer.lr=1e-3", "rank=8"]
    words += ["optimizer.embedding_lr=3", "output_dir=runs", "factorization=svd"]
    dense_until = ["refactorize=never,every_epoch", "refactorize.until=0.5"]
    assert train(*tiny, *words, *dense_until, "-m", cwd=tmp_path).code == 0
    curves = sorted((curve(path) for path in tmp_path.glob("runs/*/")), key=lambda c: len(c["optimizer/embedding_lr"]))
    dense, projected, factors = (found["optimizer/embedding_lr"] for found in curves)
    steps = np.arange(9, 48, 10)  # the rate of the tenth step and so on, of 48 with 4 of warm-up
    expected = 1e-3 * (48 - steps) / (48 - 4)
    for found in curves:
        np.testing.assert_allclose(found["optimizer/lr"], expected, rtol=1e-6)
    assert len(dense) == 0
    np.testing.assert_allclose(projected, 3 * expected[-len(projected) :], rtol=1e-6)
    assert len(projected) == 2  # of the second epoch
    np.testing.assert_allclose(factors, 3 * expected, rtol=1e-6)


# The hash


def test_it_decides_a_run_only_where_something_has_that_rate(composed: Callable[..., RunConfig]) -> None:
    def digest(*words: str) -> str:
        return identify(composed("rank=8", *words)).hash

    other = "optimizer.embedding_lr=3"
    assert digest() != digest(other)
    assert digest() == digest("optimizer.embedding_lr=1")
    for without in ("factorization=none", "trainable=backbone"):
        assert digest(without) == digest(without, other)
    # The position table of a projected block is no part of the token embedding, and is trained with the encoder.
    block = ("factorization=albert", "trainable=backbone")
    assert digest(*block) != digest(*block, other)
    dense = composed(other).dense()
    assert dense.optimizer.embedding_lr == 1
    assert "embedding_lr" not in science(composed("factorization=none", other), "", "")["optimizer"]


def test_a_sweep_over_it_trains_the_dense_model_once(train: Any, tiny: list[str], tmp_path: Path) -> None:
    words = ["factorization=none,svd", "rank=8", "optimizer.embedding_lr=1,3,10", "-m"]
    planned = train(*tiny, *words, "plan=true", cwd=tmp_path)
    assert (planned.code, planned.err) == (0, "")
    lines = planned.out.splitlines()
    runs, summary = lines[: lines.index("")], lines[-1]
    assert [name.split("-")[3] for name in runs] == ["none", "svd", "svd", "svd"]
    assert summary.startswith("4 runs")


# What is the default


def test_three_epochs_of_which_the_best_is_kept_are_the_default(conf: Path) -> None:
    (config,) = read_request(conf, [], multirun=False).configs
    assert (config.trainer.epochs, config.checkpoint, config.optimizer.embedding_lr) == (3, "best", 1.0)


def test_each_backbone_has_its_rate_and_a_typed_one_wins(conf: Path) -> None:
    files = sorted((conf / "model").glob("*.yaml"))
    every = f"model={','.join(file.stem for file in files)}"
    known = [yaml.safe_load(file.read_text())["lr"] for file in files]
    for words, expected in (([], known), (["optimizer.lr=7e-4"], [7e-4] * 9), (["model.lr=6e-4"], [6e-4] * 9)):
        assert [run.optimizer.lr for run in read_request(conf, [every, *words], multirun=True).configs] == expected


def test_a_backbone_of_ones_own_need_not_say_its_rate(train: Any, conf: Path, tmp_path: Path) -> None:
    (own,) = read_request(conf, ["~model.lr"], multirun=False).configs
    assert own.optimizer.lr == pytest.approx(5e-5)
    answer = train("model.lr=null", "plan=true", cwd=tmp_path)
    assert answer.code == 2
    assert "optimizer.lr" in answer.err
