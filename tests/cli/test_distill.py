"""task.distill: a run learns from a finished dense run, or that of its seed in a sweep, if nothing leaks that way."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from embfact.config.run_config import RunConfig
from embfact.data.text import load_text
from embfact.models import checkpoint
from embfact.runs.record import RunRecord, read

DENSE = ["factorization=none", "checkpoint=last", "optimizer.lr=1e-3"]
SVD = ["factorization=svd", "rank=8", "checkpoint=last", "optimizer.lr=1e-3"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("distill")


@pytest.fixture(scope="module")
def command(train: Any, tiny: list[str], folder: Path) -> Callable[..., Any]:
    return lambda *words: train(*tiny, "paths.cache_dir=cache", *words, cwd=folder)


@pytest.fixture(scope="module")
def dense(command: Callable[..., Any], folder: Path) -> dict[int, str]:
    """The dense runs of two seeds in the folder ``dense``, by seed, as paths from the folder that commands run in."""
    answer = command(*DENSE, "seed=0,1", "output_dir=dense", "-m")
    assert answer.code == 0, answer
    return {read(run).seed: str(run.relative_to(folder)) for run in folder.glob("dense/*/")}


@pytest.fixture(scope="module")
def compressed(command: Callable[..., Any], folder: Path) -> Path:
    """A finished run of svd."""
    assert command(*SVD, "output_dir=compressed").code == 0
    (run,) = folder.glob("compressed/*/")
    return run.relative_to(folder)


def records(place: Path) -> dict[tuple[str, int], RunRecord]:
    found = [read(run) for run in place.glob("*/") if (run / "record.json").exists()]
    return {(record.method.name, record.seed): record for record in found}


def test_each_seed_of_a_sweep_learns_from_the_dense_run_of_its_seed(command, dense, folder):
    answer = command(*SVD, "seed=0,1", "task.distill=dense", "output_dir=own", "-m")
    assert answer.code == 0, answer
    found = records(folder / "own")
    assert {key: record.teacher for key, record in found.items()} == {
        ("none", 0): None,
        ("none", 1): None,
        ("svd", 0): Path(dense[0]).name,
        ("svd", 1): Path(dense[1]).name,
    }
    # They are repetitions, compared with the dense runs, and the reader is told.
    assert len([line for line in answer.out.splitlines() if line.startswith(("| svd", "| none"))]) == 2
    names = ", ".join(sorted(Path(run).name for run in dense.values()))
    assert f"Distilled from {names}: all but dense." in answer.out
    assert "no dense run has the options" not in answer.out
    assert (
        "2 of 2 runs are already finished"
        in command(*SVD, "seed=0,1", "task.distill=dense", "output_dir=own", "baseline=false", "-m").out
    )


def test_one_run_teaches_all_seeds_and_a_plan_says_so(command, dense):
    answer = command(*SVD, "seed=0,1", f"task.distill='{dense[1]}'", "-m", "plan=true")
    assert answer.code == 0, answer
    assert f"2 runs learn from {dense[1]}" in answer.out
    assert "4 runs, 0 finished, 4 to do" in answer.out


def test_the_teacher_is_asked_once_and_its_logits_are_those_of_a_forward_pass(command, dense, folder):
    words = [*SVD, f"task.distill='{dense[0]}'", "paths.cache_dir=fresh", "baseline=false", "-m"]
    assert command(*words, "rank=8,12", "output_dir=asked").code == 0
    (file,) = folder.glob("fresh/evidence/*.safetensors")
    (logits,) = load_file(file).values()
    logs = [log.read_text() for log in folder.glob("asked/*/log.txt")]
    assert len(logs) == 2
    assert sum("the teacher scored 96 training rows" in log for log in logs) == 1

    model, tokenizer = checkpoint.load(folder / dense[0] / "checkpoint")
    config = RunConfig.parse(read(next(folder.glob("asked/*-r8-*"))).config)
    texts = load_text(config.data, None, str(folder / "fresh"), seed=0).train.column("text").to_pylist()
    with torch.no_grad():
        forward = [model(**tokenizer(text, return_tensors="pt")).logits[0].numpy() for text in texts]
    np.testing.assert_allclose(logits, forward, rtol=1e-4, atol=1e-6)


def test_a_cold_cache_a_warm_one_and_a_damaged_one_give_the_same_bits(command, dense, folder):
    found = []
    for name in ("cold", "warm", "damaged"):
        words = [*SVD, f"task.distill='{dense[0]}'", "paths.cache_dir=bits", f"output_dir={name}"]
        assert command(*words).code == 0
        (run,) = folder.glob(f"{name}/*/")
        found.append((run / "predictions.parquet").read_bytes())
        if name == "warm":
            (file,) = folder.glob("bits/evidence/*.safetensors")
            file.write_bytes(file.read_bytes()[:-4])
    assert found[0] == found[1] == found[2]


def test_what_is_learned_depends_on_the_weights(command, dense, folder):
    weights = {}
    for name, words in {
        "labels": [],
        "both": [f"task.distill='{dense[0]}'"],
        "logits": [f"task.distill='{dense[0]}'", "task.distill_embedding=0"],
        "table": [f"task.distill='{dense[0]}'", "task.distill_weight=0"],
    }.items():
        assert command(*SVD, *words, f"output_dir=learned/{name}").code == 0
        (path,) = folder.glob(f"learned/{name}/*/checkpoint/model.safetensors")
        weights[name] = load_file(path)["bert.embeddings.word_embeddings.factors.weight"]
    names = list(weights)
    for place, one in enumerate(names):
        for other in names[place + 1 :]:
            assert not np.array_equal(weights[one], weights[other]), (one, other)


def test_the_hash_follows_the_weights_of_the_teacher_not_its_place(command, dense, folder):
    def digest(run: Any, *words: str) -> str:
        answer = command(*SVD, f"task.distill='{run}'", "plan=true", *words)
        return re.search(r"svd-r8-s0-(\w{8}) ", answer.out)[1]

    for copy in ("moved", "other weights"):
        shutil.copytree(folder / dense[0], folder / copy)
    path = folder / "other weights" / "checkpoint" / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    assert digest(dense[0]) == digest("moved") == digest("dense") != digest("other weights")
    assert len({digest(dense[0], f"task.distill_weight={weight}") for weight in (0.25, 0.5, 1)}) == 3
    # Without logits a temperature has no effect.
    still = [digest(dense[0], "task.distill_weight=0", f"task.distill_temperature={t}") for t in (1, 2)]
    assert still[0] == still[1]


def test_without_it_a_run_is_the_one_it_always_was(command):
    plan = [command(*SVD, *words, "plan=true").out for words in ([], ["task.distill_weight=0.9"])]
    assert plan[0] == plan[1]


def test_a_dense_run_that_learns_from_another_is_a_row_of_its_own(command, dense, folder):
    answer = command(
        "factorization=none,svd", "rank=8", f"task.distill='{dense[0]}'", "optimizer.lr=1e-3", "output_dir=born", "-m"
    )
    assert answer.code == 0, answer
    lines = [line.split("|")[1:3] for line in answer.out.splitlines() if line.startswith(("| none", "| svd"))]
    found = [(method.strip(), "distill=" in setting) for method, setting in lines]
    assert found == [("none", False), ("none", True), ("svd", True)]
    assert "no dense run has the options of svd" not in answer.out


def test_a_teacher_may_have_another_backbone_with_the_same_tokens(command, dense, folder):
    flat = ["model.architecture.num_hidden_layers=1", "model.name=shallow"]
    answer = command(*SVD, *flat, f"task.distill='{dense[0]}'", "output_dir=shallow")
    assert answer.code == 0, answer
    (run,) = folder.glob("shallow/*/")
    assert read(run).teacher == Path(dense[0]).name


def test_albert_learns_from_logits_alone(command, dense, folder):
    assert command("factorization=albert", "rank=8", f"task.distill='{dense[0]}'", "output_dir=albert").code == 0
    (run,) = folder.glob("albert/*/")
    assert read(run).science["task"]["distill_embedding"] == 0


def test_a_regression_learns_the_number(command, folder):
    rows = "text,label\n" + "".join(f"word{n} of {n % 7},{n % 7 / 7}\n" for n in range(200))
    for name in ("a", "b"):
        (folder / f"{name}.csv").write_text(rows.replace("word", name))
    data = ["data=files", "data.train_file=a.csv", "data.validation_file=b.csv", "data.target=float"]
    data += ["data.metrics=[pearson]"]
    assert command(*DENSE, *data, "output_dir=numbers").code == 0
    answer = command(*SVD, *data, "task.distill=numbers", "output_dir=learned numbers")
    assert answer.code == 0, answer
    (run,) = folder.glob("learned numbers/*/")
    assert "distill_temperature" not in read(run).science["task"]


REFUSED = {
    "missing": (["task.distill=nowhere"], "there is no run directory nowhere"),
    "empty": (["task.distill="], "task.distill"),
    "a checkpoint": (["task.distill='{run}/checkpoint'"], "has no record.json"),
    "no run of the seed": (
        ["task.distill=dense", "seed=7"],
        r"dense has no finished dense run of seed 7 on vader with bert-scratch \(only of seed 0, 1\)",
    ),
    "several runs of the seed": (["task.distill=several"], r"several has 2 dense runs of seed 0 .*name one of them"),
    "a compressed run": (["task.distill='{compressed}'"], "task.distill needs a dense run, but .*factorization=svd"),
    "other held-out rows": (["data.split_seed=1", "task.distill='{run}'"], "was trained with data.split_seed=0"),
    "other data": (
        ["data=files", "data.train_file=a.csv", "data.validation_file=b.csv", "task.distill='{run}'"],
        r"was trained on other data \(vader\)",
    ),
    "other tokens": (
        ["model.tokenizer={tokenizer}", "model.name=own", "task.distill='{run}'"],
        "reads other tokens than own: their tokenizers have 30522 and",
    ),
    "another width": (
        ["model.architecture.hidden_size=64", "model.name=narrow", "task.distill='{run}'"],
        "has 128 columns, and that of narrow 64; set task.distill_embedding=0",
    ),
    "nothing to learn": (
        ["task.distill='{run}'", "task.distill_weight=0", "task.distill_embedding=0"],
        "has no effect with task.distill_weight=0 and task.distill_embedding=0",
    ),
    "nothing to learn for a block": (
        ["factorization=albert", "task.distill='{run}'", "task.distill_weight=0"],
        "factorization=albert with trainable=all can learn only logits",
    ),
    "a share above one": (["task.distill='{run}'", "task.distill_weight=2"], "task.distill_weight.*less than or equal"),
    "a search without a teacher for each seed": (
        ["task.distill=dense", "search=lr", "search.trials=2", "search.seeds=3"],
        "no finished dense run of seed 2",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_teach_is_refused_before_anything_is_done(
    case, command, dense, folder, compressed, small_tokenizer
):
    if not (folder / "several").exists():
        for name in ("one", "two"):
            shutil.copytree(folder / dense[0], folder / "several" / name)
    for name in ("a", "b"):
        (folder / f"{name}.csv").write_text("text,label\n" + "".join(f"{name} {n},{n % 2}\n" for n in range(200)))
    words, told = REFUSED[case]
    words = [word.format(run=dense[0], compressed=compressed, tokenizer=small_tokenizer) for word in words]
    answer = command("factorization=svd", "rank=8", "output_dir=refused", *words)
    assert answer.code == 2, answer
    assert re.search(told, answer.err), answer.err
    assert "Traceback" not in answer.err
    assert not (folder / "refused").exists()


def test_an_unfinished_run_is_refused(command, dense, folder):
    run = folder / dense[0]
    (run / "record.json").rename(run / "away.json")
    try:
        assert "is not finished; wait for it" in command(*SVD, f"task.distill='{dense[0]}'", "output_dir=refused").err
        assert "no finished dense run of seed 0" in command(*SVD, "task.distill=dense", "output_dir=refused").err
    finally:
        (run / "away.json").rename(run / "record.json")
    assert not (folder / "refused").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["factorization=none"], "factorization=none leaves as it is; leave it out"),
        (["trainable=backbone"], "use trainable=all"),
        (["trainable=factors"], "use trainable=all"),
        (["refactorize=every_epoch"], "use refactorize=never"),
        (["trainer.factor_epochs=3"], "leaves none of trainer.epochs=3"),
    ],
)
def test_factors_cannot_be_trained_first(words, told, command, folder):
    answer = command("factorization=svd", "rank=8", "trainer.factor_epochs=1", *words, "output_dir=refused")
    assert answer.code == 2, answer
    assert told in answer.err
    assert not (folder / "refused").exists()


def test_a_training_that_ends_before_the_rest_thaws_fails_in_words(command, folder):
    answer = command(*SVD, "trainer.factor_epochs=1", "trainer.max_steps=3", "output_dir=short")
    assert answer.code == 1
    (run,) = folder.glob("short/*/")
    assert "trainer.factor_epochs=1 are 3 steps, and the training has 3" in read(run).error.message
