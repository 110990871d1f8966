"""Labels of a data set mean the same in all its files, or the files are refused before anything starts."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from embfact.config.compose import read_request
from embfact.data.text import load_text
from embfact.runs.preflight import run_errors

FILES = ["data=files", "data.selection_size=0", "checkpoint=last", "data.train_size=null", "data.eval_size=null"]
SMALL = [*FILES, "factorization=none", "trainer.max_steps=1", "output_dir=runs"]
Labels = Sequence[Any] | pa.Array


def write(path: Path, labels: Labels) -> Path:
    """A file with a row for each label."""
    texts = [f"a film {row} of {path.stem}" for row in range(len(labels))]
    if path.suffix == ".parquet":
        pq.write_table(pa.table({"text": texts, "label": labels}), path)
    elif path.suffix == ".jsonl":
        rows = zip(texts, labels, strict=True)
        path.write_text("".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows))
    else:
        path.write_text(
            "text,label\n" + "".join(f"{text},{label}\n" for text, label in zip(texts, labels, strict=True))
        )
    return path


@pytest.fixture
def given(train: Any, tiny: list[str], tmp_path: Path) -> Callable[..., Any]:
    """Trains on files with the labels given: the kind of each file, and its labels."""

    def words(train_kind: str, training: Labels, kind: str, reported: Labels) -> list[str]:
        train_file = write(tmp_path / f"train.{train_kind}", training)
        validation_file = write(tmp_path / f"valid.{kind}", reported)
        return [*tiny, *SMALL, f"data.train_file='{train_file}'", f"data.validation_file='{validation_file}'"]

    def call(train_kind: str, training: Labels, kind: str, reported: Labels, *more: str) -> Any:
        return train(*words(train_kind, training, kind, reported), *more, cwd=tmp_path)

    call.words, call.train = words, train  # type: ignore[attr-defined]
    return call


FLOATS = ["1.0", "2.0", "3.0", "1.0"]
SAME = {
    "floats and whole numbers": ("csv", FLOATS, "csv", ["1", "2"], ["1", "2", "3"], [0, 1]),
    "other ways to write a number": ("csv", ["1", "2", "10"], "csv", ["1e1", "+2", "1."], ["1", "2", "10"], [2, 1, 0]),
    "doubles and CSV": ("parquet", [1.0, 2.0, 10.0], "csv", ["10", "1"], ["1", "2", "10"], [2, 0]),
    "CSV and doubles": ("csv", ["0", "1"], "parquet", [1.0, 0.0], ["0", "1"], [1, 0]),
    "JSON numbers": ("jsonl", [1, 2, 3.0], "jsonl", [3, 2.0], ["1", "2", "3"], [2, 1]),
    "true and false are 1 and 0": ("parquet", [True, False], "jsonl", [1, 0], ["0", "1"], [1, 0]),
    "minus zero": ("csv", ["-0", "1"], "parquet", [0, 1], ["0", "1"], [0, 1]),
    "more digits than a float has": (
        "csv",
        ["9007199254740993", "9007199254740992"],
        "parquet",
        [2**53, 2**53 + 1],
        ["9007199254740992", "9007199254740993"],
        [0, 1],
    ),
    "categories": ("parquet", pa.array(["b", "a"]).dictionary_encode(), "csv", ["a", "b"], ["a", "b"], [0, 1]),
    "padded codes": ("csv", ["01", "02"], "csv", ["02", "01"], ["01", "02"], [1, 0]),
}


@pytest.mark.parametrize("case", SAME)
def test_equal_labels_are_one_class_in_every_file(given: Any, conf: Path, case: str) -> None:
    *files, names, codes = SAME[case]
    words = given.words(*files)
    (config,) = read_request(conf, words, multirun=False).configs
    assert run_errors(config) == []
    text = load_text(config.data, None)
    assert text.label_names == tuple(names)
    assert text.reports["validation"].column("label").to_pylist() == codes


def test_a_run_scores_equal_numbers_as_one_class_and_keeps_their_plain_names(given: Any, tmp_path: Path) -> None:
    *files, names, codes = SAME["floats and whole numbers"]
    answer = given(*files)
    assert (answer.code, answer.err) == (0, "")
    (run,) = tmp_path.glob("runs/*/")
    assert pq.read_table(run / "predictions.parquet").column("label").to_pylist() == codes
    saved = json.loads((run / "checkpoint" / "config.json").read_text())["id2label"]
    assert [saved[str(code)] for code in range(len(saved))] == names


WORDS = ["bad", "fine", "good", "bad"]
OTHER: dict[str, tuple[str, Labels, str, Labels, list[str]]] = {
    "words, and codes from 1": ("csv", WORDS, "csv", ["1", "2"], ["bad, fine, good", "1, 2"]),
    "words, and codes from 0": ("csv", WORDS, "csv", ["0", "1", "2"], ["bad, fine, good", "0, 1, 2"]),
    "codes, and words": ("csv", ["0", "1", "2"], "csv", WORDS[:3], ["0, 1, 2", "bad, fine, good"]),
    "padded codes, and numbers": ("csv", ["01", "02"], "csv", ["1", "2"], ["01, 02", "1, 2"]),
    "numbers, and padded codes": ("csv", ["1", "2"], "csv", ["01"], ["1, 2", "01"]),
    "a word among the numbers": ("csv", ["1.0", "2.0", "other"], "csv", ["1", "2"], ["1.0, 2.0, other", "1, 2"]),
    "an underscore": ("csv", ["1000", "2000"], "csv", ["1_000"], ["1000, 2000", "1_000"]),
    "digits of another script": ("csv", ["1", "2"], "csv", ["\u0661"], ["1, 2", "\u0661"]),
    "True in words, and a switch": ("csv", ["True", "False"], "parquet", [True, False], ["False, True", "0, 1"]),
    "a class that training has not": ("csv", ["a", "b"], "csv", ["a", "c"], ["a, b", "a, c"]),
    "other letters": ("csv", ["Good", "Bad"], "csv", ["good"], ["Bad, Good", "good"]),
    "hidden labels": ("csv", ["0", "1"], "csv", ["-1", "-1"], ["0, 1", "-1"]),
    "infinity": ("csv", ["1", "2"], "csv", ["inf"], ["1, 2", "inf"]),
    "one number that no float tells apart": (
        "csv",
        ["9007199254740992", "1"],
        "csv",
        ["9007199254740993"],
        ["1, 9007199254740992", "9007199254740993"],
    ),
}


@pytest.mark.parametrize("sweep", [[], ["seed=0,1", "-m"]], ids=["run", "sweep"])
@pytest.mark.parametrize("case", OTHER)
def test_labels_of_other_classes_are_refused_before_anything_starts(
    given: Any, tmp_path: Path, case: str, sweep: list[str]
) -> None:
    *files, told = OTHER[case]
    answer = given(*files, *sweep)
    assert (answer.code, answer.out) == (2, "")
    assert "valid." in answer.err
    assert all(labels in answer.err for labels in told), answer.err
    assert len(answer.err.splitlines()) == 2
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("training", "words", "told"),
    [
        (["0.5", "1.5"], [], ["data.target=float", "data.label_names=["]),
        ([], [], ["train.csv has no rows"]),
        (["a", "a"], [], ["only one class ('a')"]),
        (["1", "1.0"], [], ["only one class ('1')"]),
        (["0", "2"], ["data.label_names=[bad,good]"], ["bad, good", "0, 2"]),
        (["1", "2"], ["data.label_names=[bad,fine,good]"], ["bad, fine, good", "1, 2"]),
        (["bad", "0"], ["data.label_names=[bad,good]"], ["bad, good", "0, bad"]),
    ],
)
def test_training_labels_that_make_no_classes_are_refused(
    given: Any, training: list[str], words: list[str], told: list[str]
) -> None:
    answer = given("csv", training, "csv", training, *words)
    assert (answer.code, answer.out) == (2, "")
    assert all(part in answer.err for part in told), answer.err


@pytest.mark.parametrize(
    ("training", "reported", "names", "codes"),
    [
        (["good", "bad"], ["bad"], "[good,bad]", [1]),
        (["0.5", "1.5"], ["1.50", "0.5"], "[0.5,1.5]", [1, 0]),
        (["0", "1"], ["1.0"], "[bad,good]", [1]),  # every code is there: they are positions, as the names say
    ],
)
def test_named_classes_have_the_order_of_their_names(
    given: Any, conf: Path, training: list[str], reported: list[str], names: str, codes: list[int]
) -> None:
    words = [*given.words("csv", training, "csv", reported), f"data.label_names={names}"]
    (config,) = read_request(conf, words, multirun=False).configs
    assert run_errors(config) == []
    assert load_text(config.data, None).reports["validation"].column("label").to_pylist() == codes


def test_a_sweep_over_files_is_refused_for_the_one_pair_that_does_not_go_together(
    train: Any, tiny: list[str], tmp_path: Path
) -> None:
    write(tmp_path / "words.csv", WORDS)
    write(tmp_path / "codes.csv", ["0", "1", "2"])
    write(tmp_path / "valid.csv", ["bad", "good"])
    files = ["data.train_file=words.csv,codes.csv", "data.validation_file=valid.csv"]
    answer = train(*tiny, *SMALL, *files, "seed=0,1", "-m", cwd=tmp_path)
    assert (answer.code, answer.out) == (2, "")
    (detail,) = answer.err.splitlines()[1:]
    assert all(labels in detail for labels in ("0, 1, 2", "bad, good"))
    assert not (tmp_path / "runs").exists()
    # The same command goes on once the file is mended.
    write(tmp_path / "codes.csv", WORDS[::-1])
    answer = train(*tiny, *SMALL, *files, "-m", "plan=true", cwd=tmp_path)
    assert (answer.code, answer.err) == (0, "")


ENDINGS = {
    "compressed rows": ("data.train_file", "rows.csv.gz", ".parquet"),
    "compressed rows to report on": ("data.validation_file", "rows.jsonl.bz2", ".parquet"),
    "plain text": ("data.train_file", "rows.txt", ".csv"),
    "a workbook": ("data.validation_file", "rows.xlsx", ".csv"),
    "no ending": ("data.train_file", "rows", ".jsonl"),
    "nothing but an ending": ("data.train_file", ".csv", ".jsonl"),
    "a compressed corpus": ("evidence.source", "corpus.txt.gz", ".txt"),
}


@pytest.mark.parametrize("case", ENDINGS)
def test_a_file_of_an_unknown_kind_is_refused_before_a_sweep_starts(
    train: Any, tiny: list[str], tmp_path: Path, case: str
) -> None:
    option, name, told = ENDINGS[case]
    for file in ("train.csv", "valid.csv", name):
        write(tmp_path / "made.csv", ["a", "b"]).rename(tmp_path / file)
    files = ["data.train_file=train.csv", "data.validation_file=valid.csv", f"{option}={name}"]
    words = ["factorization=weighted_svd", "rank=8", "output_dir=runs", "seed=0,1", "-m"]
    answer = train(*tiny, *FILES, *files, *words, cwd=tmp_path)
    assert (answer.code, answer.out) == (2, "")
    (detail,) = answer.err.splitlines()[1:]
    assert all(part in detail for part in (option, name, told)), detail
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("option", ["data.text=texts", "data.label=labels"])
def test_a_column_that_is_not_there_is_told_before_the_start(
    kind: str, option: str, given: Any, tmp_path: Path
) -> None:
    answer = given(kind, ["a", "b"], kind, ["a", "b"], option, "data.target=class")
    wanted = option.partition("=")[2]
    assert answer.code == 2
    assert f"train.{kind} has no column '{wanted}'; did you mean '{wanted[:-1]}'?" in answer.err
    assert not (tmp_path / "runs").exists()


def test_a_column_is_looked_for_in_both_files_and_for_numbers_too(given: Any, tmp_path: Path) -> None:
    words = given.words("csv", ["1.5", "2"], "csv", ["1"])
    (tmp_path / "valid.csv").write_text("txt,label\na,1\n")
    answer = given.train(*words, "data.target=float", "data.metrics=[pearson]", cwd=tmp_path)
    assert answer.code == 2
    assert "valid.csv has no column 'text'; did you mean 'txt'?" in answer.err
