"""storage= and quantization= on the command line: what the record says is what the file holds."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from embfact.config.run_config import RunConfig
from embfact.embeddings.layout import Storage
from embfact.results.collect import Collected
from embfact.results.result_table import build_table
from embfact.runs.record import RunRecord, read

V, H, RANK = 30522, 128, 8
WORDS = [f"rank={RANK}", "baseline=false", "output_dir=runs"]
AWARE = ("quantization=aware", "optimizer.lr=1e-2", "trainer.max_steps=null", "trainer.epochs=2")


@dataclass(frozen=True)
class Done:
    """A finished run."""

    directory: Path

    @property
    def record(self) -> RunRecord:
        return read(self.directory)

    @property
    def tensors(self) -> dict[str, np.ndarray]:
        return load_file(self.directory / "checkpoint" / "model.safetensors")

    @property
    def table(self) -> dict[str, np.ndarray]:
        """What the file keeps in the place of the token table, names cut short."""
        kept = {name.partition("word_embeddings.")[2]: tensor for name, tensor in self.tensors.items() if tensor.size}
        return {name: tensor for name, tensor in kept.items() if name}


@pytest.fixture(scope="module")
def run(train: Any, tiny: list[str], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Done]:
    """Trains once with the given words."""
    made: dict[tuple[str, ...], Done] = {}

    def do(*words: str) -> Done:
        if words not in made:
            folder = tmp_path_factory.mktemp("storage")
            answer = train(*tiny, *WORDS, *words, cwd=folder)
            assert (answer.code, answer.err) == (0, "")
            (directory,) = folder.glob("runs/*/")
            made[words] = Done(directory)
        return made[words]

    return do


@pytest.mark.parametrize(
    ("method", "storage"), [("svd", "int8"), ("none", "float16"), ("albert", "int4"), ("none", "int3")]
)
def test_parameters_are_those_of_the_weights_and_bytes_those_of_the_file(
    method: str, storage: str, run: Callable[..., Done]
) -> None:
    done = run(f"factorization={method}", f"storage={storage}")
    size, part = done.record.size, done.record.method
    expected = RunConfig.parse(done.record.config).factorization.size(V, H, part.rank, Storage(storage))
    assert (size.embedding.parameters, size.embedding.bytes) == (expected.parameters, expected.bytes)
    assert size.model.bytes == sum(tensor.nbytes for tensor in done.tensors.values())
    assert size.dense.embedding.bytes == 4 * V * H
    assert (part.storage, part.quantization) == (storage, "post_training")
    kinds = {tensor.dtype.name for tensor in done.table.values()}
    assert kinds == ({"float16"} if storage == "float16" else {"uint8", "float16"})


def test_post_training_stores_the_very_weights_that_float32_keeps(run: Callable[..., Done]) -> None:
    float32 = run("factorization=svd")
    assert (float32.record.method.storage, float32.record.method.quantization) == ("float32", None)
    exact, stored = float32.table, run("factorization=svd", "storage=int8").table
    for name in ("factors", "projection"):
        weight = exact[f"{name}.weight"].astype(np.float64)
        kept = {part: stored[f"{name}.{part}"].astype(np.float64) for part in ("codes", "scales", "zero_points")}
        of_group = np.arange(weight.shape[1]) // 64
        scales = kept["scales"][:, of_group]
        lost = np.abs((kept["codes"] - kept["zero_points"][:, of_group]) * scales - weight)
        cut_off = (kept["codes"] == 0) | (kept["codes"] == 255)
        assert (lost <= 0.5001 * scales)[~cut_off].all()
        assert np.square(lost).sum() < 1e-4 * np.square(weight).sum()


@pytest.mark.parametrize("storage", ["int4", "int2"])
def test_where_training_imitates_the_storage_the_held_out_figures_are_those_of_the_stored_weights(
    storage: str, run: Callable[..., Done], tmp_path: Path
) -> None:
    from embfact.data.text import load_text
    from embfact.data.tokenized import tokenize
    from embfact.inference.scoring import predict
    from embfact.models.checkpoint import load

    done = run(f"storage={storage}", *AWARE)
    assert (done.record.method.storage, done.record.method.quantization) == (storage, "aware")
    model, tokenizer = load(done.directory / "checkpoint")
    data, selection = RunConfig.parse(done.record.config).data, done.record.selection
    rows = tokenize(load_text(data, None).selection, tokenizer, data.max_length, str(tmp_path))
    logits = predict(model, rows, pad_token_id=tokenizer.pad_token_id, padding_side="right", batch_size=64)
    # The loss tells what an accuracy of a few rows would not.
    (chosen,) = [entry for entry in selection.history if entry["epoch"] == selection.best_epoch]
    assert (logits.argmax(axis=1) == rows.labels).mean() == pytest.approx(chosen["accuracy"])
    assert selection.value == chosen["loss"]
    scores = logits.astype(np.float64)
    losses = np.log(np.exp(scores).sum(axis=1)) - scores[np.arange(len(scores)), rows.labels]
    assert losses.mean() == pytest.approx(chosen["loss"], abs=1e-5)


def test_records_from_before_quantization_are_read(run: Callable[..., Done], tmp_path: Path) -> None:
    values = json.loads((run("factorization=svd").directory / "record.json").read_text())
    del values["method"]["quantization"], values["training"]["refactorize"]
    (tmp_path / "record.json").write_text(json.dumps(values))
    assert read(tmp_path) == run("factorization=svd").record


def test_imitating_float32_is_refused(train: Any, tiny: list[str], tmp_path: Path) -> None:
    answer = train(*tiny, "quantization=aware", cwd=tmp_path)
    assert answer.code == 2
    assert "quantization=aware needs storage=int8, int6, int4, int3, int2 or float16" in answer.err
    assert list(tmp_path.iterdir()) == []


def runs_of(plan: str) -> list[str]:
    """The lines of the runs of a plan, which come first."""
    lines = plan.splitlines()
    return lines[: lines.index("")]


def test_the_baseline_of_a_sweep_is_dense_in_float32(train: Any, tiny: list[str], tmp_path: Path) -> None:
    answer = train(*tiny, "rank=8", "factorization=svd", "storage=float32,int8", "-m", "plan=true", cwd=tmp_path)
    assert answer.code == 0, answer
    planned = [line.split()[0].removeprefix("vader-bert-scratch-") for line in runs_of(answer.out)]
    assert [name.rpartition("-")[0] for name in planned] == ["none-s0", "svd-r8-s0", "svd-r8-int8-g64-s0"]


def test_a_sweep_over_groups_has_a_run_for_each_where_they_are_of_effect(
    train: Any, tiny: list[str], tmp_path: Path
) -> None:
    words = ["storage=float32,float16,int4", "storage_group=row,32", "quantization=post_training"]
    answer = train(*tiny, "rank=8", "factorization=svd", *words, "baseline=false", "-m", "plan=true", cwd=tmp_path)
    assert answer.code == 0, answer
    planned = [line.split()[0].removeprefix("vader-bert-scratch-svd-r8-") for line in runs_of(answer.out)]
    assert [name.rpartition("s0-")[0] for name in planned] == ["", "float16-", "int4-row-", "int4-g32-"]


def test_finished_runs_of_several_groups_are_rows_of_their_own(run: Callable[..., Done]) -> None:
    """Row by row the bytes are those of the file, and the table says which groups they have."""
    done = [run("factorization=svd", "storage=int4", f"storage_group={group}") for group in ("row", 32)]
    for one, groups in zip(done, (1, 4), strict=True):
        assert one.record.method.storage_group == (32 if groups == 4 else "row")
        assert one.record.science["storage_group"] == one.record.method.storage_group
        assert one.record.size.embedding.bytes == V * (RANK // 2 + 2 + 1) + RANK * (
            H // 2 + 2 * groups + -(-groups // 2)
        )
        assert one.record.size.embedding.bytes == sum(tensor.nbytes for tensor in one.table.values())
    table = build_table(Collected(tuple(one.record for one in done)))
    assert [row.label for row in table.rows] == ["svd int4-row", "svd int4-g32"]
    assert {row.setting for row in table.rows} == {""}
