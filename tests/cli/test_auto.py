"""factorization=auto: which method a sweep gets, that it is measured once, and what is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, BertConfig, BertModel

import embfact
from embfact.embeddings.layout import Storage
from embfact.factorization.auto import CANDIDATES, SIZES, candidates
from embfact.runs.record import RunRecord, read
from embfact.search.measure import expected_loss
from tests.helpers.commands import BAD, GOOD

V, H, BUDGET = 3000, 32, 0.1
DATA = ["data=vader", "data.train_size=96", "data.eval_size=64", "data.selection_size=32", "trainer.threads=1"]


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory, small_tokenizer: Path) -> Path:
    """A tiny encoder, the axes of whose table are of unequal length, as those of trained tables are."""
    folder = tmp_path_factory.mktemp("models") / "bert"
    torch.manual_seed(0)
    sizes = {"num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16, "pad_token_id": 0}
    model = BertModel(BertConfig(vocab_size=V, hidden_size=H, **sizes))
    model.embeddings.word_embeddings.weight.data *= torch.linspace(3, 0.1, H)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(small_tokenizer).save_pretrained(folder)
    return folder


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves out the method that takes seconds."""
    for module in ("factorization.auto", "search.choice"):
        monkeypatch.setattr(f"embfact.{module}.CANDIDATES", CANDIDATES[1:])


@pytest.fixture(scope="module")
def words(bert: Path) -> list[str]:
    """Overrides of a sweep on it that takes a second."""
    model = ["model=minilm", f"model.name_or_path={bert}", "model.name=bert"]
    return [*model, *DATA, "trainer.max_steps=3", "trainer=cpu", "logger=none", "output_dir=runs"]


def records(folder: Path) -> list[RunRecord]:
    return [read(path.parent) for path in sorted(folder.glob("runs/*/record.json"))]


def errors(run: Any, bert: Path) -> dict[tuple[str, str], float]:
    """The held-out error of every candidate, as scripts/factorize.py measures it one by one."""
    found = {}
    for method, formats in CANDIDATES:
        size = [f"budget={BUDGET}"] if method.uses_rank else []
        for storage in formats:
            options = [f"factorization={method.name}", *size, f"storage={storage}", "--format", "json"]
            done = run("factorize.py", f"model.name_or_path={bert}", *DATA, *options)
            row = json.loads(done.out)["rows"][-1]
            if row["bytes"] <= BUDGET * 4 * V * H:
                found[method.name, storage] = row["weighted_error"], row["bytes"]
    return {name: error for name, (error, _) in sorted(found.items(), key=lambda one: one[1])}


@pytest.fixture(scope="module")
def sweep(train: Any, words: list[str], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """Two seeds of one budget, finished."""
    folder = tmp_path_factory.mktemp("auto")
    return folder, train("factorization=auto", f"budget={BUDGET}", "seed=0,1", *words, "-m", cwd=folder)


def test_a_sweep_gets_the_candidate_of_the_least_held_out_error(sweep: Any, bert: Path, run: Any) -> None:
    folder, answer = sweep
    assert answer.code == 0
    measured = errors(run, bert)
    best = next(iter(measured))  # the smallest of equals
    runs = [record for record in records(folder) if record.method.name != "none" or record.method.storage != "float32"]
    assert {(record.method.name, record.method.storage) for record in runs} == {best}
    assert sorted(record.seed for record in runs) == [0, 1]
    assert len(measured) == len(candidates(V, H, BUDGET))
    for record in runs:
        assert record.size is not None
        assert record.size.embedding.bytes <= BUDGET * 4 * V * H
    (file,) = (folder / "runs/auto").glob("*.json")
    kept = {(one["factorization"], one["storage"]): one["lost"] for one in json.loads(file.read_text())}
    assert kept == pytest.approx(measured)
    assert f"factorization={best[0]} storage={best[1]} loses {measured[best]:.4f}" in answer.out


def test_what_was_measured_is_not_measured_again(
    sweep: Any, train: Any, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, answer = sweep
    monkeypatch.setattr("embfact.compression.factorize.Workbench", None)
    again = train("factorization=auto", f"budget={BUDGET}", "seed=0,1", *words, "-m", cwd=folder)
    assert again.code == 0
    assert "4 of 4 runs are already finished" in again.out
    (line,) = (line for line in answer.out.splitlines() if line.startswith("auto, "))
    assert line in again.out.splitlines()


def test_the_same_method_by_name_is_the_same_run(sweep: Any, train: Any, words: list[str]) -> None:
    folder, _ = sweep
    chosen = next(one for one in records(folder) if one.method.name != "none" or one.method.storage != "float32")
    size = [f"budget={BUDGET}"] if chosen.method.size else []
    named = [f"factorization={chosen.method.name}", f"storage={chosen.method.storage}", *size]
    answer = train(*named, "seed=0,1", *words, "-m", cwd=folder)
    assert "4 of 4 runs are already finished" in answer.out


@pytest.mark.usefixtures("quick")
def test_a_damaged_file_is_measured_again(train: Any, words: list[str], tmp_path: Path) -> None:
    command = ["factorization=auto", f"budget={BUDGET}", *words, "-m"]
    assert train(*command, cwd=tmp_path).code == 0
    (file,) = (tmp_path / "runs/auto").glob("*.json")
    before = file.read_text()
    file.write_text(before[:40])
    again = train(*command, cwd=tmp_path)
    assert (again.code, file.read_text()) == (0, before)
    assert "2 of 2 runs are already finished" in again.out


def test_a_plan_measures_and_writes_nothing(
    train: Any, words: list[str], tmp_path: Path, files_below: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("embfact.compression.factorize.Workbench", None)
    answer = train("factorization=auto,svd", "budget=0.1,0.2", *words, "plan=true", "-m", cwd=tmp_path)
    assert answer.code == 0
    assert not files_below(tmp_path)
    assert [line for line in answer.out.splitlines() if line.startswith("auto, ")] == [
        f"auto, vader bert b{budget}: chosen when the sweep starts (1 run)" for budget in (0.1, 0.2)
    ]
    assert "3 runs" in answer.out


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["rank=64"], "rank=64"),
        (["energy=0.9"], "energy=0.9"),
        (["budget=0.1", "budget_unit=params"], "budget_unit=params"),
        (["budget=0.1", "storage=int8"], "storage=int8"),
        (["budget=0.1", "model=bert_scratch"], "random"),
        (["budget=0.000001"], "budget 1e-06"),
        (["budget=0.1", "trainable=projection"], "trainable=factors"),
        (["budget=0.1", "refactorize=every_epoch"], "refactorize"),
        (["budget=0.1", "factorization.tolerance=1"], "tolerance=1"),
        (["factorization.tolerance=0"], "tolerance"),
        (["factorization.tolerance=1", "data.selection_size=0", "checkpoint=last"], "held-out"),
    ],
)
def test_what_cannot_be_chosen_is_refused_before_the_start(
    given: list[str], told: str, train: Any, tmp_path: Path, files_below: Any
) -> None:
    answer = train("factorization=auto", "data=vader", *given, cwd=tmp_path)
    assert answer.code == 2
    assert told in answer.err
    assert "1 configuration error" in answer.err
    assert not files_below(tmp_path)


@pytest.mark.usefixtures("quick")
def test_missing_data_stops_only_its_own_runs(train: Any, words: list[str], tmp_path: Path) -> None:
    here = [word for word in words if word != "data=vader"]
    answer = train("factorization=auto", f"budget={BUDGET}", "data=vader,sst2", *here, "-m", cwd=tmp_path)
    assert answer.code == 1
    assert {record.data.name for record in records(tmp_path)} == {"vader"}
    assert "sst2" in answer.out + answer.err


@pytest.mark.usefixtures("quick")
def test_a_model_can_be_saved_with_the_best_candidate(run: Any, bert: Path, tmp_path: Path) -> None:
    out = tmp_path / "small"
    words = [f"model.name_or_path={bert}", *DATA, f"budget={BUDGET}"]
    done = run("factorize.py", "factorization=auto", *words, f"output={out}", "--format", "json")
    assert done.code == 0
    rows = [row for row in json.loads(done.out)["rows"] if row["bytes"] <= BUDGET * 4 * V * H]
    best = min(rows, key=lambda row: (row["weighted_error"], row["bytes"]))
    assert embfact.from_pretrained(out).config.embfact["method"] == best["method"]
    assert f"factorization={best['method']} storage={best['storage'].partition('-')[0]} loses least" in done.err
    assert embfact.summary(embfact.from_pretrained(out)).embedding.bytes == best["bytes"]


@pytest.mark.usefixtures("quick")
def test_a_comparison_of_all_methods_lists_each_once(run: Any, bert: Path) -> None:
    words = [f"model.name_or_path={bert}", *DATA]
    done = run("factorize.py", "factorization=auto,svd", *words, f"budget={BUDGET}", "-m", "--format", "json")
    names = [(row["method"], row["storage"]) for row in json.loads(done.out)["rows"]]
    assert names[-1] == ("svd", "float32")
    assert names[1:-1] == [(method.name, str(storage)) for method, storage in candidates(V, H, BUDGET)]


def test_candidates_are_those_that_fit() -> None:
    assert candidates(30_522, 384, 1e-6) == []
    names = [(method.name, storage.format) for method, storage in candidates(30_522, 384, 0.2)]
    assert ("none", "int6") in names
    assert ("none", "int8") not in names
    assert all(storage == Storage(storage.format, 32) for _, storage in candidates(30_522, 384, 0.2, 32))
    assert ("transform_coding", "int8") not in [(m.name, s.format) for m, s in candidates(100, 384, 0.2)]


def test_a_tolerance_without_a_training_is_refused(run: Any, bert: Path) -> None:
    done = run("factorize.py", f"model.name_or_path={bert}", *DATA, "factorization=auto", "factorization.tolerance=1")
    assert done.code == 2
    assert "trained dense run (found factorization.tolerance=1); set a budget" in done.err


def test_an_expected_loss_is_that_of_rows_whose_prediction_changes() -> None:
    before = np.log(np.array([[0.7, 0.2, 0.1], [0.4, 0.35, 0.25], [0.1, 0.3, 0.6]], dtype=np.float32))
    after = np.array([[5, 0, 0], [0, 1, 0], [1, 0, 0]], dtype=np.float32)
    assert expected_loss(before, after) == pytest.approx((0 + 0.05 + 0.5) / 3)
    assert expected_loss(before, before) == 0


@pytest.fixture(scope="module")
def tolerant(train: Any, words: list[str], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A folder with a dense run that has learned something, and a command that asks for a tolerance."""
    folder = tmp_path_factory.mktemp("tolerant")
    for name, count in (("train", 600), ("valid", 64)):
        rows = [(GOOD[row % 8], "good") if row % 2 else (BAD[row // 2 % 8], "bad") for row in range(count)]
        lines = [f"{text} {name} {number},{label}" for number, (text, label) in enumerate(rows)]
        (folder / f"{name}.csv").write_text("\n".join(["text,label", *lines, ""]))
    data = ["data=files", "data.train_file=train.csv", "data.validation_file=valid.csv", "data.train_size=400"]
    rest = [word for word in words if word != "data=vader"]
    command = [*rest, *data, "data.eval_size=64", "trainer.max_steps=90", "trainer.epochs=9", "optimizer.lr=1e-2"]
    assert train("factorization=none", *command, cwd=folder).code == 0
    (record,) = records(folder)
    assert record.metrics["validation"]["accuracy"] > 0.7  # type: ignore[operator]
    return folder, ["factorization=auto", *command]


def test_a_tolerance_takes_the_smallest_size_that_is_expected_to_lose_no_more(
    tolerant: Any, train: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, command = tolerant
    sizes = (0.0004, 0.01, 0.3)  # the first keeps a few of the thirty words that matter
    for module in ("choice", "measure"):
        monkeypatch.setattr(f"embfact.search.{module}.SIZES", sizes)

    def budget(points: float) -> float:
        answer = train(*command, f"factorization.tolerance={points}", cwd=folder)
        assert answer.code == 0
        (line,) = (line for line in answer.out.splitlines() if line.startswith("auto, "))
        return float(re.search(r"budget=(\S+)", line)[1])  # type: ignore[index]

    assert budget(100) == sizes[0]
    (file,) = (folder / "runs/auto").glob("*tolerance*.json")
    measured = json.loads(file.read_text())
    assert [one["budget"] for one in measured] == list(sizes)
    least = 0.99 * measured[0]["lost"]
    assert least > 0
    assert budget(least) == min(one["budget"] for one in measured if one["lost"] <= least) > sizes[0]


def test_a_tolerance_waits_for_the_dense_run(words: list[str], train: Any, tmp_path: Path) -> None:
    command = ["factorization=auto", "factorization.tolerance=100", *words, "-m"]
    first = train(*command, cwd=tmp_path)
    assert first.code == 1
    assert "repeat the command" in first.out + first.err
    second = train(*command, cwd=tmp_path)
    assert second.code == 0
    assert {record.method.size for record in records(tmp_path)} == {None, f"b{SIZES[0]}-int4-g64"}


def test_what_no_size_keeps_is_told(tolerant: Any, train: Any) -> None:
    folder, command = tolerant
    answer = train(*command, "factorization.tolerance=1e-9", cwd=folder)
    assert answer.code in (0, 1)  # a size may lose nothing at all
    if answer.code:
        assert "raise factorization.tolerance" in answer.out + answer.err
