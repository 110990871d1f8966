"""Train, factorize, retrain: a run starts from the weights another one ended with, if nothing leaks that way."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from embfact.runs.record import RunRecord, read

DENSE = ["factorization=none", "checkpoint=last", "optimizer.lr=1e-3"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("from run")


@pytest.fixture(scope="module")
def command(train: Any, tiny: list[str], folder: Path) -> Callable[..., Any]:
    return lambda *words: train(*tiny, *words, cwd=folder)


@pytest.fixture(scope="module")
def dense(command: Callable[..., Any], folder: Path) -> Path:
    """A finished dense run, as a path from the folder that commands are given in."""
    answer = command(*DENSE, "output_dir=dense")
    assert answer.code == 0, answer
    (directory,) = folder.glob("dense/*/")
    return directory.relative_to(folder)


@pytest.fixture
def only(folder: Path) -> Callable[[str], RunRecord]:
    """The record of the only run in an output folder."""

    def record(output: str) -> RunRecord:
        (directory,) = folder.glob(f"{output}/*/")
        return read(directory)

    return record


def test_a_run_starts_from_the_weights_the_dense_run_ended_with(command, dense, folder, only):
    import torch

    from embfact.config.sections import ModelConfig
    from embfact.models import checkpoint
    from embfact.models.loading import load_backbone

    trained, _ = checkpoint.load(folder / dense / "checkpoint")
    config = ModelConfig.model_validate(read(folder / dense).config["model"] | {"from_run": str(folder / dense)})
    # The head is the run's own, whatever the seed.
    start, tokenizer = load_backbone(config, num_labels=2, label_names=None, dropout=None, seed=5)
    assert type(start.get_input_embeddings()) is torch.nn.Embedding
    assert not hasattr(start.config, "embfact")
    assert len(tokenizer) == 30522
    for name, tensor in trained.state_dict().items():
        assert torch.equal(start.state_dict()[name], tensor), name

    # One step of a rate so small that it changes no metric: the figures are those of the dense run.
    still = ["optimizer.lr=1e-30", "optimizer.weight_decay=0", "trainer.max_steps=1", "checkpoint=last"]
    answer = command("factorization=none", *still, f"model.from_run='{dense}'", "output_dir=again")
    assert answer.code == 0, answer
    assert only("again").metrics == read(folder / dense).metrics


def test_it_is_factorized_and_trained_on_and_the_table_says_where_from(command, dense, folder, only):
    common = ["factorization=svd", "rank=8", "output_dir=retrained"]
    assert command(*common, f"model.from_run='{dense}'").code == 0
    record, start = only("retrained"), read(folder / dense)
    assert record.model.name == start.model.name == "bert-scratch"
    label = record.science["model"]["from_run"]
    assert re.fullmatch("[0-9a-f]{8}", label)
    assert record.model.fingerprint != start.model.fingerprint
    assert "1 of 1 runs are already finished" in command(*common, f"model.from_run='{dense}'").out

    sweep = command(*common, f"model.from_run=null,'{dense}'", "baseline=false", "-m")
    assert sweep.code == 0
    rows = [line for line in sweep.out.splitlines() if line.startswith("| svd")]
    assert [f"from_run={label}" in row for row in rows] in ([True, False], [False, True])


def test_the_baseline_of_a_sweep_starts_there_too(command, dense):
    plan = command("factorization=svd", "rank=8", "seed=0,1", f"model.from_run='{dense}'", "-m", "plan=true").out
    assert re.findall(r"scratch-(\S+)-\w{8} ", plan) == ["none-s0", "none-s1", "svd-r8-s0", "svd-r8-s1"]
    dense_hash = dense.name.rpartition("-")[2]
    assert dense_hash not in plan, "training it on from its own weights is another run"


def test_gradients_are_those_of_the_fine_tuned_model_behind_its_own_head(command, dense, folder):
    words = ["factorization=fisher_svd", "rank=8", f"model.from_run='{dense}'", "output_dir=fisher"]
    assert command(*words, "evidence.warmup_steps=5", "paths.cache_dir=cache").code == 0
    (path,) = folder.glob("cache/evidence/*")
    written = path.stat().st_mtime_ns
    # Its head is trained already: more steps of warm-up, or another seed, are the same evidence.
    assert command(*words, "evidence.warmup_steps=9", "seed=1", "paths.cache_dir=cache").code == 0
    assert [file.stat().st_mtime_ns for file in folder.glob("cache/evidence/*")] == [written]


def test_the_hash_follows_the_weights_not_the_place(command, dense, folder):
    plan = ["factorization=svd", "rank=8", "plan=true"]

    def digest(start: Any) -> str:
        return re.search(r"svd-r8-s0-(\w{8}) ", command(*plan, f"model.from_run='{start}'").out)[1]

    for copy in ("moved", "other weights"):
        shutil.copytree(folder / dense, folder / copy)
    weights = folder / "other weights" / "checkpoint" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(bytes(content))
    assert digest(dense) == digest("moved") == digest(folder / "moved") != digest("other weights")


@contextmanager
def changed(run: Path, change: Callable[[dict[str, Any]], Any]) -> Iterator[None]:
    """The record of a run with something else in it."""
    path = run / "record.json"
    text = path.read_text()
    record = json.loads(text)
    change(record)
    path.write_text(json.dumps(record))
    try:
        yield
    finally:
        path.write_text(text)


REFUSED = {
    "no such directory": (["model.from_run=nowhere"], "there is no run directory nowhere"),
    "the folder of the runs": (["model.from_run=dense"], "dense holds 1 runs; give one of them"),
    "a checkpoint": (["model.from_run='{dense}/checkpoint'"], "has no record.json"),
    "another backbone": (
        ["model=minilm", "data.max_length=64", "model.from_run='{dense}'"],
        "backbone .*is bert-scratch, but this command has minilm.*model.name_or_path, model.architecture",
    ),
    "another name": (["model.name=mine", "model.from_run='{dense}'"], "this command has mine.*differ in model.name"),
    "other held-out rows": (
        ["data.split_seed=1", "model.from_run='{dense}'"],
        r"was trained with data.split_seed=0 and may have seen rows that are held out here",
    ),
    "fewer held-out rows there": (
        ["data.selection_size=40", "model.from_run='{dense}'"],
        r"was trained with data.selection_size=32",
    ),
    "other data": (
        ["data=files", "data.train_file=a.csv", "data.validation_file=b.csv", "model.from_run='{dense}'"],
        r"was trained on other data \(vader\) than data=",
    ),
    "empty": (["model.from_run="], "model.from_run"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_started_from_is_refused_before_anything_is_done(case, command, dense, folder):
    for name in ("a", "b"):
        (folder / f"{name}.csv").write_text("text,label\n" + "".join(f"{name} {n},{n % 2}\n" for n in range(200)))
    words, told = REFUSED[case]
    words = [word.format(dense=dense) for word in words]
    answer = command("factorization=svd", "rank=8", "output_dir=refused", *words)
    assert answer.code == 2
    assert re.search(told, answer.err), answer.err
    assert "Traceback" not in answer.err
    assert not (folder / "refused").exists()


def test_a_failed_an_unfinished_and_a_run_without_weights_are_refused(command, dense, folder):
    words = ["factorization=svd", "rank=8", f"model.from_run='{dense}'", "output_dir=refused"]
    run = folder / dense
    error = {"type": "UserError", "message": "the training diverged"}
    with changed(run, lambda record: record.update(status="failed", error=error)):
        assert "failed (the training diverged); fix that and train it again" in command(*words).err
    (run / "record.json").rename(run / "away.json")
    try:
        assert "is not finished; wait for it, or train it again" in command(*words).err
    finally:
        (run / "away.json").rename(run / "record.json")
    (run / "checkpoint").rename(run / "away")
    try:
        assert "(checkpoint was removed); retrain with checkpoint=last" in command(*words).err
        with changed(run, lambda record: record["config"].update(checkpoint="none")):
            assert "(checkpoint=none); retrain with checkpoint=last" in command(*words).err
    finally:
        (run / "away").rename(run / "checkpoint")
    assert not (folder / "refused").exists()


@pytest.mark.parametrize("method", [{"name": "svd", "rank": 8, "size": "r8"}, {"storage": "int8"}])
def test_a_compressed_run_is_refused(method, command, dense, folder):
    words = ["factorization=svd", "rank=8", f"model.from_run='{dense}'", "output_dir=refused"]
    with changed(folder / dense, lambda record: record["method"].update(method)):
        answer = command(*words)
    assert answer.code == 2
    assert "model.from_run needs a dense run" in answer.err
    assert "give a run with factorization=none and storage=float32" in answer.err


def test_a_head_for_other_labels_is_refused_where_it_is_loaded(command, dense, folder):
    from embfact.config.sections import ModelConfig
    from embfact.errors import ModelError
    from embfact.models.loading import load_backbone

    config = ModelConfig.model_validate(read(folder / dense).config["model"] | {"from_run": str(folder / dense)})
    with pytest.raises(ModelError, match=r"no classifier\.bias of this shape: it was trained for other labels"):
        load_backbone(config, num_labels=3, label_names=None, dropout=None, seed=0)
