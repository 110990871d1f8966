"""trainable= on the command line: what stays as it was is seen in the saved weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from embfact.config.compose import read_request

WORDS = ["rank=8", "baseline=false", "output_dir=runs", "checkpoint=last"]
HEAD = {"classifier.weight", "classifier.bias"}


@pytest.fixture
def moved(train: Any, tiny: list[str], conf: Path, tmp_path: Path) -> Callable[..., set[str]]:
    """Names of the weights that a training ended with other values of than it began with."""

    def do(*words: str) -> set[str]:
        from embfact.models.compress import compress
        from embfact.models.loading import load_backbone

        answer = train(*tiny, *WORDS, *words, cwd=tmp_path)
        assert (answer.code, answer.err) == (0, "")
        (path,) = tmp_path.glob("runs/*/checkpoint/model.safetensors")
        (config,) = read_request(conf, [*tiny, *WORDS, *words], multirun=False).configs
        names = ("negative", "positive")
        model, _ = load_backbone(config.model, num_labels=2, label_names=names, dropout=None, seed=0)
        compress(model, config.factorization, 8)
        before, after = model.state_dict(), load_file(path)
        return {name for name, tensor in before.items() if not np.array_equal(tensor.numpy(), after[name])}

    return do


def test_the_projection_alone_is_trained(moved: Callable[..., set[str]]) -> None:
    found = moved("factorization=albert", "trainable=projection")
    assert found == HEAD | {f"bert.embeddings.projection.{part}" for part in ("weight", "bias")}


def test_the_backbone_alone_is_trained(moved: Callable[..., set[str]]) -> None:
    found = moved("factorization=svd", "trainable=backbone")
    assert found > HEAD | {"bert.encoder.layer.1.output.dense.weight", "bert.embeddings.position_embeddings.weight"}
    assert not {name for name in found if ".word_embeddings." in name}


def test_a_projection_that_is_not_there_is_refused_at_once(train: Any, tiny: list[str], tmp_path: Path) -> None:
    answer = train(*tiny, "factorization=svd,none", "trainable=projection", "-m", cwd=tmp_path)
    assert answer.code == 2
    assert "factorization=none has no projection" in answer.err
    assert "use trainable=factors or trainable=all" in answer.err
    assert list(tmp_path.iterdir()) == []


def test_the_dense_baseline_of_projections_is_trained_as_a_whole(train: Any, tiny: list[str], tmp_path: Path) -> None:
    answer = train(*tiny, "factorization=svd", "trainable=all,projection", "rank=8", "-m", "plan=true", cwd=tmp_path)
    assert answer.code == 0, answer
    assert sum("-none-s0-" in line for line in answer.out.splitlines()) == 1
