"""The command line of scripts/evaluate.py."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest


def record_of(run: Path) -> dict[str, Any]:
    return json.loads((run / "record.json").read_text())


def without(run: Path, target: Path, **changes: Any) -> Path:
    """A copy of a run with another record."""
    shutil.copytree(run, target)
    (target / "record.json").write_text(json.dumps(record_of(run) | changes))
    return target


@pytest.mark.parametrize(("data", "way"), [("vader", "command"), ("stsb", "run")])
def test_the_figures_of_the_own_data_are_bit_for_bit_those_of_the_record(
    runs: Callable[..., Path], tmp_path: Path, data: str, way: str, request: pytest.FixtureRequest
) -> None:
    run = runs(data)
    done = request.getfixturevalue(way)("evaluate.py", run, "--output", tmp_path / "figures.json")
    assert (done.code, done.err) == (0, "")
    figures, record = json.loads((tmp_path / "figures.json").read_text()), record_of(run)
    assert figures["metrics"] == record["metrics"]
    assert figures["fingerprint"] == record["data"]["fingerprint"]
    assert figures["rows"] == {split: record["data"]["rows"][split] for split in record["metrics"]}
    assert figures["trained_on"] == []
    for split, metrics in record["metrics"].items():
        for name, value in metrics.items():
            assert f"{split}  {name}  {100 * value:.2f}  ({figures['rows'][split]} rows)" in done.out.splitlines()
    assert f"data fingerprint {record['data']['fingerprint']} (the run's own)" in done.out


def test_overrides_of_the_own_data_are_on_top_of_what_the_run_was_trained_on(
    run: Callable[..., Any], runs: Callable[..., Path], tmp_path: Path
) -> None:
    done = run("evaluate.py", runs("vader"), "data.eval_size=10", "trainer.eval_batch_size=3")
    assert done.code == 0
    # debug=fast draws 64 rows of it; the rest of the data set is as the run had it.
    assert "(10 rows)" in done.out
    assert "(the run's own)" in done.out


def test_training_rows_are_told(run: Callable[..., Any], runs: Callable[..., Path], mirror: Path) -> None:
    done = run("evaluate.py", runs("vader"), "data.report_splits=[test,train]")
    assert done.code == 0
    assert "train: the run was trained on rows" in done.out
    assert "test: the run was trained" not in done.out
    copied = mirror / "glue" / "sst2" / "train.parquet"
    words = ["data=files", f"data.validation_file={copied}", "data.text=sentence"]
    words += ["data.label_names=[negative,positive]"]  # the file has codes
    assert "validation: the run was trained on rows" in run("evaluate.py", runs("sst2"), *words).out


def test_the_users_file_needs_no_training_file(
    run: Callable[..., Any], runs: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "new.csv").write_text("review,mark\na fine film,positive\na dull film,negative\n")
    columns = ["data.text=review", "data.label=mark"]
    done = run("evaluate.py", runs("sst2"), "data=files", f"data.validation_file={tmp_path}/new.csv", *columns)
    assert done.code == 0
    assert "validation  accuracy  " in done.out
    assert "(2 rows)" in done.out
    assert "the run's own" not in done.out


def test_labels_are_matched_by_name_not_by_code(
    run: Callable[..., Any], runs: Callable[..., Path], mirror: Path, tmp_path: Path
) -> None:
    shutil.copytree(mirror, tmp_path / "turned")
    path = tmp_path / "turned" / "glue" / "sst2" / "validation.parquet"
    table = pq.read_table(path)
    # One class more often than the other, so that a mix-up shows.
    table = table.filter(np.array(table.column("label")) + np.arange(len(table)) % 3 > 0)
    pq.write_table(table, path)
    as_trained = ["evaluate.py", runs("sst2"), "data=sst2", f"paths.data_dir={tmp_path}/turned", "--output"]
    assert run(*as_trained, tmp_path / "a.json").code == 0
    turned = 1 - np.array(table.column("label"))
    pq.write_table(table.set_column(1, "label", [turned]), path)
    assert run(*as_trained, tmp_path / "b.json", "data.label_names=[positive,negative]").code == 0
    assert run(*as_trained, tmp_path / "c.json").code == 0
    kept, same, other = (
        json.loads((tmp_path / f"{name}.json").read_text())["metrics"]["validation"]["accuracy"] for name in "abc"
    )
    assert same == kept
    assert other == pytest.approx(1 - kept)
    assert other != kept


def accuracy(done: Any) -> float:
    assert (done.code, done.err) == (0, "")
    return float(re.search(r"validation  accuracy  ([\d.]+)", done.out)[1])


def labelled(path: Path, *labels: str) -> list[str]:
    """A file of as many rows, and the words to score it."""
    texts = ["a fine film", "a dull film", "a film"][: len(labels)]
    path.write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in zip(texts, labels, strict=True)))
    return ["data=files", f"data.validation_file={path}"]


def test_codes_in_a_users_file_are_refused_until_the_command_says_what_they_are(
    run: Callable[..., Any], runs: Callable[..., Path], refused: Callable[..., None], tmp_path: Path
) -> None:
    named = accuracy(
        run("evaluate.py", runs("sst2"), *labelled(tmp_path / "a.csv", "negative", "positive", "negative"))
    )
    coded = ["evaluate.py", runs("sst2"), *labelled(tmp_path / "b.csv", "0", "1", "0")]
    remedy = "data.label_names=[negative,positive]"
    for told in ("b.csv, line 2: label '0' is unknown", "classes are: negative, positive", "labels: 0, 1", remedy):
        refused(run(*coded), told)
    assert accuracy(run(*coded, remedy)) == named
    # Counted from 1, or in other letters, they are no positions, whatever the command says.
    for labels in (("1", "2", "1"), ("1", "1", "1"), ("Negative", "Positive", "Negative"), ("0", "1", "negative")):
        words = labelled(tmp_path / "c.csv", *labels)
        refused(run("evaluate.py", runs("sst2"), *words), "label these rows with the classes that the run")
        refused(run("evaluate.py", runs("sst2"), *words, remedy), "is unknown; the classes are: negative, positive")


def test_numbers_are_the_classes_of_a_run_by_value(
    run: Callable[..., Any], runs: Callable[..., Path], refused: Callable[..., None], tmp_path: Path
) -> None:
    rows = [f"a {'fine' if row % 2 else 'dull'} film {row},{1.0 + row % 2}" for row in range(24)]
    (tmp_path / "train.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    labelled(tmp_path / "valid.csv", "1", "2", "1")
    files = [f"data.train_file={tmp_path}/train.csv", f"data.validation_file={tmp_path}/valid.csv"]
    trained = runs("files", *files)
    own = accuracy(run("evaluate.py", trained))
    assert own == pytest.approx(100 * record_of(trained)["metrics"]["validation"]["accuracy"], abs=0.01)
    # As a version that took numbers for words has saved its classes.
    older = shutil.copytree(trained, tmp_path / "older")
    config = json.loads((older / "checkpoint" / "config.json").read_text())
    assert config["id2label"] == {"0": "1", "1": "2"}
    (older / "checkpoint" / "config.json").write_text(json.dumps(config | {"id2label": {"0": "1.0", "1": "2.0"}}))
    for directory in (trained, older):
        for labels in (("1.0", "2.0", "1e0"), ("1", "+2", "1.")):
            assert accuracy(run("evaluate.py", directory, *labelled(tmp_path / "same.csv", *labels))) == own
        words = labelled(tmp_path / "turned.csv", "2", "1", "2")
        assert accuracy(run("evaluate.py", directory, *words)) == pytest.approx(100 - own, abs=0.011)
        assert accuracy(run("evaluate.py", directory, *words, "data.label_names=[2.0,1.0]")) == pytest.approx(
            100 - own, abs=0.011
        )
        refused(run("evaluate.py", directory, *labelled(tmp_path / "other.csv", "01", "02")), "label '01' is unknown")
        refused(run("evaluate.py", directory, *labelled(tmp_path / "other.csv", "0", "1")), "label '0' is unknown")


UNFIT = {
    "other classes": ("vader", ["data=imdb"], '"data.label_names=[negative,positive]"'),
    "too many classes": ("sst2", ["data=mnli", "data.text=[premise]"], "choose data with these classes"),
    "pairs": ("sst2", ["data=rte"], "was trained on single texts, but rte has pairs"),
    "regression on classes": ("stsb", ["data=rte"], "predicts numbers (data.target=float), but rte has classes"),
    "classes on a regression": ("rte", ["data=stsb"], "predicts classes, but stsb has numbers"),
    "metric": ("mnli", ["data.metrics=[f1]"], "metrics f1 do not fit 3 classes"),
    "too long": ("vader", ["data.max_length=9999"], "at most 512 tokens"),
    "hidden labels": ("sst2", ["data.report_splits=[test]"], "--glue"),
    "training option": ("vader", ["seed=1"], "seed is a training option"),
    "backbone": ("vader", ["model=minilm"], "model is a training option"),
    "other trainer option": ("vader", ["trainer.threads=2"], "trainer.threads is a training option"),
    "sweep": ("vader", ["data=vader,sst2"], "one data set at a time"),
    "deletion": ("vader", ["~data.note"], "cannot be removed"),
    "no such data": ("vader", ["data=vadr"], "did you mean 'vader'?"),
    "no such option": ("vader", ["data.evalsize=3"], "did you mean 'eval_size'"),
    "no such option of other data": ("vader", ["data=sst2", "data.evalsize=3"], "did you mean 'data.eval_size'"),
    "no override": ("vader", ["sst2"], "write key=value"),
    "rated sentences without an index": ("vader", ["data=tweets"], "set PIP_INDEX_URL"),
    "no file": ("vader", ["data=files"], "add data.validation_file=FILE"),
    "a compressed file": ("vader", ["data=files", "data.validation_file=a.csv.gz"], "data.validation_file=a.csv.gz"),
    "missing file": ("vader", ["data=files", "data.validation_file=nowhere.csv"], "there is no file nowhere.csv"),
    "too many rows": ("vader", ["data.eval_size=99999"], "use at most"),
    "no such split": ("vader", ["data.report_splits=[dev]"], "no split 'dev'"),
    "no such device": ("vader", ["--device", "tpu"], "'tpu' is not a device"),
}


@pytest.mark.parametrize("case", UNFIT)
def test_what_does_not_fit_is_refused_in_words(
    run: Callable[..., Any], runs: Callable[..., Path], refused: Callable[..., None], tmp_path: Path, case: str
) -> None:
    data, words, message = UNFIT[case]
    refused(run("evaluate.py", runs(data), *words, "--output", tmp_path / "figures.json"), message)
    assert not (tmp_path / "figures.json").exists()


def test_a_missing_column_is_named(
    run: Callable[..., Any], runs: Callable[..., Path], refused: Callable[..., None], tmp_path: Path
) -> None:
    (tmp_path / "new.csv").write_text("review,label\nfine,positive\n")
    words = ["data=files", f"data.validation_file={tmp_path}/new.csv"]
    refused(run("evaluate.py", runs("vader"), *words), "new.csv has no column 'text'; use one of: label, review")


def test_a_line_that_no_column_can_hold_is_named(
    run: Callable[..., Any], runs: Callable[..., Path], refused: Callable[..., None], tmp_path: Path
) -> None:
    path = tmp_path / "new.jsonl"
    for text, label in ((r'"hi \ud83d"', '"positive"'), ("[1, {}]", '"positive"'), ('"hi"', "1e400"), ('"hi"', 2**64)):
        path.write_text(f'{{"text": "a", "label": "negative"}}\n{{"text": {text}, "label": {label}}}\n')
        refused(run("evaluate.py", runs("vader"), "data=files", f"data.validation_file={path}"), "new.jsonl, line 2")


def test_a_run_that_cannot_be_used_is_refused_in_words(
    run: Callable[..., Any], runs: Callable[..., Path], refused: Callable[..., None], tmp_path: Path
) -> None:
    good = runs("vader")
    refused(run("evaluate.py", tmp_path / "nowhere"), "there is no run directory")
    refused(run("evaluate.py", good.parent), f"holds 1 runs; give one of them, such as {good}")
    (tmp_path / "busy").mkdir()
    refused(run("evaluate.py", tmp_path / "busy"), "has no record.json")
    (tmp_path / "busy" / "log.txt").touch()
    refused(run("evaluate.py", tmp_path / "busy"), "the run busy is not finished")
    error = {"type": "RuntimeError", "message": "out of memory"}
    failed = without(good, tmp_path / "failed", status="failed", error=error)
    refused(run("evaluate.py", failed), "failed (out of memory)")
    removed = without(good, tmp_path / "removed")
    shutil.rmtree(removed / "checkpoint")
    refused(run("evaluate.py", removed), "(checkpoint was removed); retrain with checkpoint=last")
    weights = without(good, tmp_path / "cut") / "checkpoint" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    refused(run("evaluate.py", weights.parents[1]), "damaged or truncated")
    (tmp_path / "cut" / "checkpoint" / "config.json").write_text("{")
    refused(run("evaluate.py", tmp_path / "cut"), "config.json cannot be read")
    (tmp_path / "cut" / "record.json").write_text("{")
    refused(run("evaluate.py", tmp_path / "cut"), "not JSON")


def test_a_run_that_kept_no_weights_tells_how_to_keep_them(
    run: Callable[..., Any], runs: Callable[..., Path], refused: Callable[..., None]
) -> None:
    refused(run("evaluate.py", runs("vader", "checkpoint=none")), "(checkpoint=none); retrain with checkpoint=last")


def test_many_faults_take_few_lines(
    run: Callable[..., Any], runs: Callable[..., Path], refused: Callable[..., None]
) -> None:
    refused(
        run("evaluate.py", runs("vader"), *[f"{key}=1" for key in ("seed", "rank", "a", "b", "c", "d", "e")]), "more"
    )


def test_refusals_import_nothing_heavy(runs: Callable[..., Path], modules_after: Callable[..., Any]) -> None:
    good = str(runs("vader"))
    wrong = [[], ["--help"], ["nowhere"], [good, "--device", "x"], [good, "--output", "no/such/folder/x.json"]]
    codes, modules = modules_after("evaluate.py", wrong)
    assert codes == [2, 0, 2, 2, 2]
    assert not modules & {"torch", "transformers", "pyarrow", "datasets", "pytorch_lightning", "hydra"}
    codes, modules = modules_after("evaluate.py", [[good, "seed=1"], [good, "data=imdb"], [good, "data.evalsize=1"]])
    assert codes == [2, 2, 2]
    assert not modules & {"torch", "transformers", "pyarrow", "datasets", "pytorch_lightning"}
