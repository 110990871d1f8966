"""What is trained besides the head, and that all else stays as it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import PreTrainedModel

from embfact.config.compose import read_request
from embfact.config.sections import OptimizerConfig, Trainable
from embfact.embeddings.low_rank import LowRankEmbedding
from embfact.errors import ModelError
from embfact.factorization.albert import Albert
from embfact.factorization.base import Evidence, Factorization, Method, ModelAdapter
from embfact.factorization.group_svd import GroupSVD
from embfact.factorization.hybrid_svd import HybridSVD
from embfact.factorization.none import Dense
from embfact.factorization.registry import methods
from embfact.factorization.svd import SVD
from embfact.models.compress import compress
from embfact.models.trainable import freeze
from embfact.tasks.sequence_classification import SequenceClassification

COUNTS = Evidence(token_counts=torch.arange(1.0, 61, dtype=torch.float64))
HEAD = {"classifier.weight", "classifier.bias"}
TABLE = "bert.embeddings.word_embeddings"
PROJECTION = "bert.embeddings.projection"
METHODS: dict[str, tuple[Method, set[str], set[str]]] = {
    "none": (Dense(), {f"{TABLE}.weight"}, set()),
    "svd": (SVD(), {f"{TABLE}.factors.weight"}, {f"{TABLE}.projection.weight"}),
    "hybrid_svd": (
        HybridSVD(exact_rows=4),
        {f"{TABLE}.shared.factors.weight", f"{TABLE}.residual.weight"},
        {f"{TABLE}.shared.projection.weight"},
    ),
    "group_svd": (
        GroupSVD(groups=2),
        {f"{TABLE}.factors.{group}.weight" for group in (0, 1)},
        {f"{TABLE}.projections.{group}.weight" for group in (0, 1)},
    ),
    "albert": (
        Albert(),
        {"bert.embeddings.block.word_embeddings.weight"},
        {f"{PROJECTION}.weight", f"{PROJECTION}.bias"},
    ),
}
SMALL = {
    "hybrid_svd": ["factorization.exact_rows=7"],
    "group_svd": ["factorization.groups=2"],
    "product_quantization": ["factorization.centroids=16"],
    "residual_quantization": ["factorization.centroids=8", "factorization.stages=2"],
}
each_method = pytest.mark.parametrize("name", METHODS)


@pytest.fixture
def compressed(make_model: Callable[..., PreTrainedModel]) -> Callable[..., PreTrainedModel]:
    def make(name: str) -> PreTrainedModel:
        model, method = make_model("bert"), METHODS[name][0]
        compress(model, method, 5 if method.uses_rank else None, evidence=COUNTS)
        return model

    return make


def trained(model: PreTrainedModel) -> set[str]:
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


@each_method
def test_the_head_is_always_trained_and_besides_it_what_was_chosen(
    name: str, compressed: Callable[..., PreTrainedModel]
) -> None:
    _, factors, projection = METHODS[name]
    everything = trained(compressed(name))
    expected = {
        "all": everything,
        "factors": HEAD | factors | projection,
        "projection": HEAD | projection,
        "backbone": everything - factors - projection,
    }
    assert factors | projection <= everything
    for choice, names in expected.items():
        model = compressed(name)
        if names == HEAD:
            continue
        freeze(model, choice)
        assert trained(model) == names


def test_a_method_without_a_projection_is_refused_in_words(compressed: Callable[..., PreTrainedModel]) -> None:
    model = compressed("none")
    before = trained(model)
    with pytest.raises(ModelError, match=r"none has no projection .* use trainable=factors or trainable=all"):
        freeze(model, "projection")
    assert trained(model) == before


def test_a_mean_that_is_added_to_all_rows_is_a_part_of_the_projection(compressed: Callable[..., Any]) -> None:
    model = compressed("svd")
    model.get_input_embeddings().mean = torch.nn.Parameter(torch.zeros(16))
    freeze(model, "projection")
    assert trained(model) == HEAD | {f"{TABLE}.projection.weight", f"{TABLE}.mean"}


@pytest.mark.parametrize("name", methods())
def test_each_method_says_truly_what_can_be_trained_of_it(name: str, conf: Path) -> None:
    (config,) = read_request(conf, [f"factorization={name}", *SMALL.get(name, [])], multirun=False).configs
    method = config.factorization
    if not isinstance(method, Factorization):
        assert (method.has_projection, method.refactorizable) == (isinstance(method, ModelAdapter), False)
        return
    draw = torch.Generator().manual_seed(0)
    table, moments = (torch.randn(rows, 16, generator=draw) for rows in (300, 16))
    gradients, metric = table.double().square().sum(dim=1), moments.double().T @ moments.double()
    evidence = Evidence(torch.arange(1.0, 301, dtype=torch.float64), gradients, metric)
    rank = method.rank_for_budget(300, 16, 0.7) if method.uses_rank else None
    embedding = method.fit(table, rank, evidence=evidence)
    assert method.has_projection == bool(embedding.projection_parameters())
    # Drawn factors stand for no table, so nothing is left to project.
    assert method.refactorizable == (isinstance(embedding, LowRankEmbedding) and name != "random")


@each_method
@pytest.mark.parametrize("choice", ["factors", "projection", "backbone"])
def test_what_is_frozen_has_no_state_in_the_optimizer_and_keeps_its_bits(
    name: str, choice: Trainable, compressed: Callable[..., PreTrainedModel]
) -> None:
    if choice == "projection" and not METHODS[name][2]:
        return
    model = compressed(name).train()
    freeze(model, choice)
    options = OptimizerConfig(name="adamw", lr=0.1, weight_decay=0.1, warmup_ratio=0)
    module = SequenceClassification(model, options, ["accuracy"])
    module.trainer = type("Trainer", (), {"estimated_stepping_batches": 10})()
    optimizer = module.configure_optimizers()["optimizer"]
    before = {key: parameter.detach().clone() for key, parameter in model.named_parameters()}
    ids = torch.arange(60).view(6, 10)
    for _ in range(2):
        module.loss(module.logits({"input_ids": ids}), torch.arange(6) % 2).backward()
        optimizer.step()
    free = trained(model)
    after = dict(model.named_parameters())
    assert {id(after[key]) for key in free} == {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert {id(p) for p in optimizer.state} <= {id(after[key]) for key in free}
    assert all(torch.equal(after[key], before[key]) for key in after.keys() - free)
    assert all(after[key].grad is None for key in after.keys() - free)
    chosen = METHODS[name][1] | METHODS[name][2]
    assert [key for key in free & (chosen | HEAD) if torch.equal(after[key], before[key])] == []
