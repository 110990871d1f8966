"""Every method of the catalogue trains through train.py, and record and file have the size that it announced."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open

from embfact.config.run_config import RunConfig
from embfact.factorization.base import TokenizerMethod
from embfact.factorization.registry import methods
from embfact.results.collect import find_records
from embfact.runs.record import RunRecord
from tests.helpers.methods import AT_MOST
from tests.helpers.places import ROOT

# The words of this small tokenizer cannot be spelled with fewer tokens: see test_vocabulary_trimming.py.
METHODS = [name for name, method in methods().items() if not issubclass(method, TokenizerMethod)]
SIZED = [name for name in METHODS if methods()[name].uses_rank]
V, H, BUDGET = 3000, 32, 0.3
SMALL = ["model.architecture.hidden_size=32", "model.architecture.intermediate_size=32"]
SMALL += ["model.architecture.num_hidden_layers=1", "trainer.max_steps=1", "trainer.threads=1"]
SMALL += ["evidence.rows=16", "evidence.warmup_steps=1", "output_dir=runs"]
FILES = ["data=files", "data.train_file=train.csv", "data.validation_file=valid.csv", "data.selection_size=8"]
FILES += ["data.train_size=32", "data.eval_size=16"]


@pytest.fixture(scope="module")
def runs(
    train: Any, tiny: list[str], small_tokenizer: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[RunRecord, Path]]:
    """One sweep over all methods at one budget: the record and the weights of each."""
    folder = tmp_path_factory.mktemp("every")
    for name, word in (("train", "film"), ("valid", "play")):
        rows = [f"a {'fine' if row % 2 else 'dull'} {word} number {row},{row % 2}" for row in range(40)]
        (folder / f"{name}.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    words = [f"model.tokenizer={small_tokenizer}", f"factorization={','.join(METHODS)}", f"budget={BUDGET}", "-m"]
    answer = train(*tiny, *FILES, *SMALL, *words, cwd=folder)
    assert (answer.code, answer.err) == (0, "")
    records = find_records([folder / "runs"]).records
    return {record.method.name: (record, folder / "runs" / record.name / "checkpoint") for record in records}


def test_the_readme_names_each_method_and_no_other() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    lines = text.partition("### Methods")[2].partition("[Formulas")[0].splitlines()
    named = [name for line in lines if line.startswith("| `") for name in re.findall(r"`(\w+)`", line.split(" | ")[0])]
    assert sorted(named) == list(methods())


def saved(weights: Path, parts: tuple[str, ...]) -> int:
    """Bytes of the tensors of a file whose names hold one of the parts."""
    with safe_open(weights / "model.safetensors", framework="np") as file:
        names = [name for name in file.keys() if any(part in name for part in parts)]  # noqa: SIM118 (no mapping)
        return sum(file.get_tensor(name).nbytes for name in names)


def test_every_method_has_a_finished_run(runs: dict[str, tuple[RunRecord, Path]]) -> None:
    assert sorted(runs) == METHODS
    assert {record.status for record, _ in runs.values()} == {"finished"}
    for record, _ in runs.values():
        assert 0 <= record.metrics["validation"]["accuracy"] <= 1


@pytest.mark.parametrize("name", METHODS)
def test_its_size_is_the_announced_one_and_that_of_the_file(runs: dict[str, tuple[RunRecord, Path]], name: str) -> None:
    record, weights = runs[name]
    method = RunConfig.parse(record.config).factorization
    announced = method.size(V, H, record.method.rank)
    found = record.size.embedding
    if name in AT_MOST:
        assert announced.parameters * 0.9 < found.parameters <= announced.parameters
        assert announced.bytes * 0.9 < found.bytes <= announced.bytes
    else:
        assert (found.parameters, found.bytes) == (announced.parameters, announced.bytes)
    assert found.bytes == saved(weights, ("word_embeddings", "embeddings.projection"))
    assert record.size.dense.embedding.bytes == 4 * V * H


@pytest.mark.parametrize("name", SIZED)
def test_the_budget_is_kept_and_used(runs: dict[str, tuple[RunRecord, Path]], name: str) -> None:
    record, _ = runs[name]
    config = RunConfig.parse(record.config)
    dense, rank = 4 * V * H, record.method.rank
    assert record.method.size == f"b{BUDGET}"
    assert record.size.embedding.bytes <= BUDGET * dense
    larger = rank + 1
    possible = larger <= min(config.factorization.rank_limit(V, H), config.factorization.largest_rank(V, H))
    assert not possible or config.factorization.size(V, H, larger).bytes > BUDGET * dense
