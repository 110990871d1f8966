"""Whatever is typed as overrides for a script is a request, or refused in words; nothing is written."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from embfact.analysis.request import read_analysis_request
from embfact.compression.factorize_request import read_factorize_request
from embfact.errors import UserError
from embfact.inference.target import read_target
from embfact.runs.finished_run import open_run
from tests.cli.grammar import Grammar

MODEL = ["model=minilm", "rank=8"]
# What the scripts have of their own, and what they look at before Hydra does.
OWN = ["output", "table", "factorization=all", "evidence.source", "energy", "data.text", "data.name", "paths.data_dir"]
OWN += ["trainer.eval_batch_size", "data", "+data.text", "~data.label", "++output", "data@x", "model.from_run"]


@pytest.mark.parametrize("seed", range(3))
def test_words_of_the_scripts(
    seed: int, conf: Path, runs: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    grammar, draw, run = Grammar(conf, 100 + seed), random.Random(seed), open_run(runs("vader"))
    calls: dict[str, Callable[[list[str]], object]] = {
        "evaluate": lambda words: read_target(run, conf, words),
        "factorize": lambda words: read_factorize_request(conf, [*MODEL, *words], False),
        "factorize -m": lambda words: read_factorize_request(conf, [*MODEL, *words], True),
        "analyze": lambda words: read_analysis_request(conf, [*MODEL, *words], Path("out"), None),
    }
    answers: dict[str, set[str]] = {name: set() for name in calls}
    for _ in range(10):
        for word in (grammar.word(), draw.choice(OWN) + draw.choice(["", f"={grammar.value(2)}"])):
            for name, call in calls.items():
                try:
                    call([word])
                    answers[name].add("taken")
                except UserError as error:  # any other ends the test
                    answers[name].add("refused" if str(error) else "")
    assert all("" not in found and "refused" in found for found in answers.values())
    assert list(tmp_path.iterdir()) == []
