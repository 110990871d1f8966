"""A run that diverged has the sizes of what it would have saved."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedModel

from embfact.config.run_config import RunConfig
from embfact.factorization.base import Evidence, Factorization, ModelAdapter
from embfact.models import checkpoint
from embfact.models.compress import compress, embedding_tensors
from embfact.models.size import model_size, saved_bytes
from embfact.models.storage import imitate, store
from embfact.training.sizes import unsaved_sizes
from tests.helpers.zoo import Specimen, V

RANK = 5
COUNTS = Evidence(token_counts=torch.arange(1.0, V + 1, dtype=torch.float64))
SMALLER = [[], ["storage=int8"], ["storage=int4", "quantization=aware"], ["storage=int3"], ["storage=float16"]]


def diverged(model: PreTrainedModel) -> PreTrainedModel:
    with torch.no_grad():
        for weights in model.parameters():
            weights.fill_(torch.nan)
    return model


def shrunk(model: PreTrainedModel, config: RunConfig) -> PreTrainedModel:
    assert isinstance(config.factorization, Factorization | ModelAdapter)
    rank = RANK if config.factorization.uses_rank else None
    compress(model, config.factorization, rank, evidence=COUNTS, storage=config.kept)
    return model


def saved(model: PreTrainedModel, folder: Path) -> dict[str, tuple[int, int]]:
    """Parameters, and bytes in the file."""
    checkpoint.save(model, None, folder)
    found = {"embedding": embedding_tensors(model), "model": None}
    return {
        part: (model_size(model, names).parameters, saved_bytes(folder / "model.safetensors", names))
        for part, names in found.items()
    }


@pytest.mark.parametrize("words", SMALLER, ids=" ".join)
@pytest.mark.parametrize("method", ["none", "svd", "group_svd", "albert"])
def test_they_are_those_of_the_file_it_would_have_written(
    method: str, words: list[str], config: Callable[..., RunConfig], tmp_path: Path
) -> None:
    asked = config(f"factorization={method}", *words)
    model = Specimen("bert", "BertForSequenceClassification").build()
    dense = {"embedding": model_size(model, embedding_tensors(model)), "model": model_size(model)}
    model = shrunk(model, asked)
    sound = copy.deepcopy(model)
    store(sound, asked.kept)
    if "quantization=aware" in words:
        imitate(model, asked.kept)
    found = unsaved_sizes(diverged(model), asked, RANK, dense)
    expected = saved(sound, tmp_path / "saved")
    assert {part: (found[part].parameters, found[part].bytes) for part in expected} == expected
    assert found["dense"] == dense


@pytest.mark.parametrize("words", SMALLER, ids=" ".join)
def test_a_table_that_was_to_be_replaced_later_counts_as_replaced(
    words: list[str], config: Callable[..., RunConfig], tmp_path: Path
) -> None:
    asked = config("factorization=svd", f"rank={RANK}", "refactorize=every_epoch", *words)
    model = Specimen("bert", "BertForSequenceClassification").build()
    dense = {"embedding": model_size(model, embedding_tensors(model)), "model": model_size(model)}
    sound = shrunk(copy.deepcopy(model), asked)
    store(sound, asked.kept)
    found = unsaved_sizes(diverged(model), asked, RANK, dense)
    expected = saved(sound, tmp_path / "saved")
    assert {part: (found[part].parameters, found[part].bytes) for part in expected} == expected
