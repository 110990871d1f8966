"""scripts/analyze.py: figures against numpy and the saved files, and refusals before anything is loaded or written."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from scipy.linalg import svdvals
from scipy.stats import entropy
from transformers import AutoTokenizer, BertConfig, BertModel

V, H = 3000, 16
ROW = "embeddings.word_embeddings"
WORDS = "good,man,two"
MOVING = "optimizer.lr=0.01"  # high enough for a table to differ from its start


@pytest.fixture(scope="session")
def backbone(tmp_path_factory: pytest.TempPathFactory, small_tokenizer: Path) -> Path:
    """A tiny encoder as a pretrained model."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    torch.manual_seed(0)
    sizes = {"vocab_size": V, "hidden_size": H, "intermediate_size": 16}
    BertModel(BertConfig(**sizes, num_hidden_layers=1, num_attention_heads=2)).save_pretrained(folder)
    AutoTokenizer.from_pretrained(small_tokenizer).save_pretrained(folder)
    return folder


@pytest.fixture(autouse=True)
def _no_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """They take most of the time; tests/analysis looks at them."""
    monkeypatch.setattr("embfact.analysis.files.plots", lambda _: {})


@pytest.fixture
def trained(runs: Callable[..., Path], backbone: Path) -> Callable[..., Path]:
    """Trains a tiny run from the tiny encoder."""
    start = ["model.architecture=null", "model.tokenizer=null", f"model.name_or_path={backbone}"]
    return lambda *words: runs("vader", *start, "trainable=all", *words)


@pytest.fixture
def analyze(run: Any, backbone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The command on the tiny encoder and a few rows of the embedded data, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    words = [f"model.name_or_path={backbone}", "data.train_size=300", "data.eval_size=200", "--output", "out"]

    def call(*more: str) -> Any:
        data = [] if any(word.startswith("data=") for word in more) else ["data=vader"]
        return run("analyze.py", *words, *data, *more)

    return call


def figures(output: Path) -> dict[str, Any]:
    document = json.loads((output / "analysis.json").read_text(encoding="utf-8"))
    return {table["name"]: table for table in document["tables"]}


def test_methods_and_sizes_stand_beside_the_dense_table(analyze: Any, backbone: Path, tmp_path: Path) -> None:
    done = analyze("factorization=svd,weighted_svd", "rank=4,8", "--words", WORDS)
    assert done.code == 0, done.err
    found = figures(tmp_path / "out")
    assert list(found) == ["dense", "svd r4", "svd r8", "weighted_svd r4", "weighted_svd r8"]
    values = svdvals(load_file(backbone / "model.safetensors")[f"{ROW}.weight"].astype(float))
    np.testing.assert_allclose(found["dense"]["spectrum"]["values"], values, rtol=1e-6)
    assert found["dense"]["spectrum"]["effective_rank"] == pytest.approx(np.exp(entropy(values)))
    for rank in (4, 8):
        lost = (values[rank:] ** 2).sum() / (values**2).sum()
        assert found[f"svd r{rank}"]["error"] == pytest.approx(lost, rel=1e-4)
        np.testing.assert_allclose(found[f"svd r{rank}"]["spectrum"]["values"][:rank], values[:rank], rtol=1e-5)
        assert found[f"svd r{rank}"]["parameters"] == rank * (V + H)
        assert found[f"weighted_svd r{rank}"]["weighted_error"] < found[f"svd r{rank}"]["weighted_error"]
    assert list(found["dense"]["neighbours"]) == WORDS.split(",")
    assert done.out == (tmp_path / "out" / "analysis.md").read_text(encoding="utf-8")
    assert "wrote out" in done.err


def test_the_same_command_gives_the_same_bytes(analyze: Any, tmp_path: Path) -> None:
    assert analyze("factorization=random", "rank=4").code == 0
    (tmp_path / "out").rename(tmp_path / "first")
    assert analyze("factorization=random", "rank=4").code == 0
    for path in (tmp_path / "first").iterdir():
        assert path.read_bytes() == (tmp_path / "out" / path.name).read_bytes(), path.name
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first", "out", "token_cache"]


def test_a_run_is_compared_with_where_it_started(run: Any, trained: Any, backbone: Path, tmp_path: Path) -> None:
    directory, output = trained(MOVING), tmp_path / "out"
    done = run("analyze.py", directory, "--output", output)
    assert done.code == 0, done.err
    found = figures(output)
    assert list(found) == ["dense", "svd r8 at start", "svd r8 trained s0"]
    dense = load_file(backbone / "model.safetensors")[f"{ROW}.weight"].astype(float)
    saved = load_file(directory / "checkpoint" / "model.safetensors")
    table = saved[f"bert.{ROW}.factors.weight"].astype(float) @ saved[f"bert.{ROW}.projection.weight"]
    assert found["svd r8 trained s0"]["error"] == pytest.approx(((table - dense) ** 2).sum() / (dense**2).sum())
    assert found["svd r8 trained s0"]["error"] > found["svd r8 at start"]["error"]
    assert found["svd r8 at start"]["error"] == pytest.approx(1 - (svdvals(dense)[:8] ** 2).sum() / (dense**2).sum())


def test_several_runs_share_a_page(run: Any, trained: Any, tmp_path: Path) -> None:
    directories = [trained(MOVING), trained(MOVING, "seed=1"), trained(MOVING, "factorization=none")]
    done = run("analyze.py", *directories, "--output", tmp_path / "out")
    assert done.code == 0, done.err
    names = ["dense", "svd r8 at start", "svd r8 trained s0", "svd r8 trained s1", "dense trained s0"]
    assert list(figures(tmp_path / "out")) == names


def test_names_hold_the_options_that_differ_and_a_start_is_shown_where_training_moved_the_table(
    run: Any, trained: Any, tmp_path: Path
) -> None:
    directories = [trained("optimizer.lr=1e-9"), trained(MOVING)]
    done = run("analyze.py", *directories, "--output", tmp_path / "out")
    assert done.code == 0, done.err
    names = ["dense", "svd r8 trained s0 (lr=1e-09)", "svd r8 at start", "svd r8 trained s0 (lr=0.01)"]
    assert list(figures(tmp_path / "out")) == names
    assert "Not shown at start" in done.out
    assert "svd r8 trained s0 (lr=1e-09)." in done.out


def test_what_does_not_fit_is_named_and_the_rest_is_analysed(analyze: Any, tmp_path: Path) -> None:
    done = analyze("factorization=svd,albert", "rank=4,16")
    assert done.code == 1
    assert list(figures(tmp_path / "out")) == ["dense", "svd r4"]
    assert "analyze.py: svd r16 does not fit: rank 16 does not shrink a 3000 x 16 table" in done.err
    assert "before it is trained there is no table" in done.err
    assert "Left out: svd r16" in done.out


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["rank=99"], "rank 99"),
        (["factorization=svdd"], "svdd"),
        (["data=svd2", "rank=0"], "svd2"),
        (["output=here"], "give --output DIR here"),
        (["trainer.max_epochs=2", "seed=0,1"], "all rows of the table share seed"),
        (["--words", " , "], "--words names no word"),
        (["rank=4", "--words", "good,gooood,terrible"], "no single token for 'gooood', 'terrible'"),
    ],
)
def test_words_that_cannot_be_used_are_refused(
    analyze: Any, refused: Any, tmp_path: Path, words: list[str], reason: str
) -> None:
    refused(analyze(*words), reason)
    assert not (tmp_path / "out").exists()


def test_runs_that_cannot_be_used_are_refused_all_at_once(
    run: Any, runs: Any, trained: Any, refused: Any, tmp_path: Path
) -> None:
    without = shutil.copytree(trained(), tmp_path / "without")
    shutil.rmtree(without / "checkpoint")
    command = ["analyze.py", "--output", tmp_path / "out"]
    done = run(*command, tmp_path / "nothing", without, runs("vader"), trained())
    refused(done, "there is no run directory")
    assert "(checkpoint was removed)" in done.err
    assert "started from random weights" in done.err
    refused(run(*command, trained(), "rank=4"), "a finished run has its own model, method and data (found rank=4)")
    refused(run(*command, trained(), trained("data.train_size=100")), "the runs differ in their data")
    refused(run(*command, trained("factorization=albert")), "albert replaces the table")


def test_an_output_that_is_something_else_is_refused(analyze: Any, refused: Any, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("dear")
    refused(analyze(), "--output is a folder that is not an analysis (no analysis.json)")
    assert (tmp_path / "out" / "thesis.tex").read_text() == "dear"


def test_refusals_load_nothing_heavy(modules_after: Any, tmp_path: Path) -> None:
    output = ["--output", str(tmp_path / "out")]
    commands = [["--help"], [*output, "rank=0"], [*output, str(tmp_path)], [*output, "factorization=svd", "rank=9999"]]
    codes, modules = modules_after("analyze.py", commands)
    assert codes == [0, 2, 2, 2]
    assert not {"torch", "transformers", "matplotlib", "sklearn", "pyarrow"} & modules


def test_the_command_line_itself(command: Any, backbone: Path, tmp_path: Path) -> None:
    words = [f"model.name_or_path={backbone}", "data=vader", "data.train_size=100"]
    done = command("analyze.py", *words, "rank=4", "--output", "out")
    assert done.code == 0, done.err
    assert (tmp_path / "out" / "analysis.html").is_file()
