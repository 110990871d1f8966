"""Scripts over a run whose embedding is kept in integers give what the run itself reported."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from embfact.models import checkpoint


@pytest.mark.parametrize(("method", "storage"), [("svd", "int4"), ("albert", "int8")])
def test_the_figures_are_those_of_the_record(
    method: str, storage: str, runs: Callable[..., Path], run: Callable[..., Any], tmp_path: Path
) -> None:
    directory = runs("vader", f"factorization={method}", f"storage={storage}")
    done = run("evaluate.py", directory, "--output", tmp_path / "figures.json")
    assert (done.code, done.err) == (0, "")
    record = json.loads((directory / "record.json").read_text())
    assert record["method"]["storage"] == storage
    assert json.loads((tmp_path / "figures.json").read_text())["metrics"] == record["metrics"]


def test_texts_are_labelled_by_the_weights_as_they_are_kept(
    runs: Callable[..., Path], run: Callable[..., Any], tmp_path: Path
) -> None:
    directory = runs("vader", "factorization=svd", "storage=int4")
    texts = ["great fun", "a dull film"]
    (tmp_path / "in.csv").write_text("text\n" + "\n".join(texts) + "\n")
    done = run("predict.py", directory, "--file", tmp_path / "in.csv", "--output", tmp_path / "out.csv")
    assert done.code == 0, done
    model, tokenizer = checkpoint.load(directory / "checkpoint")
    with torch.no_grad():
        logits = torch.cat([model(**tokenizer(text, return_tensors="pt")).logits for text in texts])
    with (tmp_path / "out.csv").open() as file:
        rows = list(csv.DictReader(file))
    names = [model.config.id2label[code] for code in logits.argmax(dim=1).tolist()]
    assert [row["label"] for row in rows] == names
