"""What must not be averaged in silence: the table marks it and says what is missing, in every format."""

from __future__ import annotations

import csv
import io
import json

import pytest

from embfact.cli.table import main
from tests.helpers.records import make_values

TOGETHER = "70.7"  # what the mean of 0.80, 0.82 and of the run in trouble, 0.50, would be
PIVOT = ("--rows", "method,rank", "--columns", "dataset,split", "--bold", "none")


def scored(accuracy, split="validation"):
    return {"metrics": {split: {"accuracy": accuracy}}}


def missing_seed(directory):
    del directory


def failed_run(directory):
    add(directory, make_values(seed=2, error="out of memory"))


def half_written_record(directory):
    place = add(directory, make_values(seed=2, **scored(0.5)))
    place.write_text(place.read_text()[:-200])


def other_schema_version(directory):
    add(directory, make_values(seed=2, **scored(0.5)) | {"schema_version": 2})


def other_data_of_the_same_name(directory):
    add(directory, make_values(seed=2, fingerprint="f" * 64, **scored(0.5)))


def other_split(directory):
    add(directory, make_values(seed=2, rows={"train": 8000, "test": 1821}, **scored(0.5, "test")))


def add(directory, values):
    place = directory / values["name"] / "record.json"
    place.parent.mkdir(parents=True)
    place.write_text(json.dumps(values))
    return place


@pytest.fixture
def table(tmp_path, capsys):
    """Dense runs of three seeds, factorized ones of two, and some trouble; gives what the script prints of them."""
    for seed in range(3):
        add(tmp_path, make_values("none", None, seed, **scored(0.9)))
    for seed, accuracy in enumerate((0.80, 0.82)):
        add(tmp_path, make_values("svd", 64, seed, **scored(accuracy)))

    def show(trouble, *options):
        trouble(tmp_path)
        assert main([str(tmp_path), *options]) == 0
        return capsys.readouterr()

    return show


IN_ONE_CELL = [
    (missing_seed, "sst2: seed 2 missing for svd r=64."),
    (failed_run, "out of memory"),
    (half_written_record, "not JSON"),
    (other_schema_version, "has schema_version 2"),
]
APART = [
    (other_data_of_the_same_name, "Differs from other versions of the data: fingerprint="),
    (other_split, "Differs from other versions of the data: rows "),
]


@pytest.mark.parametrize("options", [(), PIVOT])
@pytest.mark.parametrize(
    ("form", "cell"),
    [
        ("md", "(n=2) 81.0 ± 1.4ᵃ"),
        ("latex", r"81.0 & \,$\pm$\,1.4\textsuperscript{a}"),
        ("html", "(n=2) 81.0 ± 1.4<sup>a</sup>"),
    ],
)
@pytest.mark.parametrize(("trouble", "words"), IN_ONE_CELL)
def test_a_lost_seed_marks_its_cell(table, trouble, words, form, cell, options):
    text = table(trouble, "--format", form, *options).out
    assert cell in text
    assert words.replace("_", r"\_\allowbreak{}" if form == "latex" else "_") in text.replace(r"=\allowbreak{}", "=")
    assert TOGETHER not in text


@pytest.mark.parametrize("options", [(), PIVOT])
@pytest.mark.parametrize(
    ("form", "heading"), [("md", "accuracyᵃ"), ("latex", r"\textsuperscript{a}}"), ("html", "<sup>a</sup></th>")]
)
@pytest.mark.parametrize(("trouble", "words"), APART)
def test_other_rows_are_another_column_that_is_marked(table, trouble, words, form, heading, options):
    text = table(trouble, "--format", form, *options).out
    assert "sst2 (a)" in text
    assert "sst2 (b)" in text
    assert heading.replace("accuracy", "validation" if options else "accuracy") in text
    assert words in text.replace(r"=\allowbreak{}", "=")
    assert "81.0" in text
    assert "50.0" in text
    assert TOGETHER not in text


@pytest.mark.parametrize(("trouble", "words"), IN_ONE_CELL + APART)
def test_csv_says_it_beside_the_numbers_and_on_the_terminal(table, trouble, words):
    shown = table(trouble, "--format", "csv")
    assert words in shown.err
    lines = [line for line in csv.DictReader(io.StringIO(shown.out)) if line["method"] == "svd"]
    (line,) = (line for line in lines if line["seeds"] == "0 1")
    assert float(line["validation_accuracy_mean"]) == pytest.approx(0.81)
    if (trouble, words) in APART:
        assert {line["data"] for line in lines} == {"sst2 (a)", "sst2 (b)"}
    else:
        assert line["missing_seeds"] == "2"
        assert line["failed_runs"] == str(int(trouble is failed_run))


@pytest.mark.parametrize(("trouble", "words"), IN_ONE_CELL + APART)
def test_a_csv_of_chosen_columns_holds_the_notes(table, trouble, words):
    (line,) = list(csv.DictReader(io.StringIO(table(trouble, "--format", "csv", *PIVOT).out)))[1:]
    assert any(words in (value or "") for name, value in line.items() if name.endswith(" notes"))
    assert any(value == "2" for name, value in line.items() if name.endswith("missing_seeds"))


@pytest.mark.parametrize("options", [(), PIVOT])
@pytest.mark.parametrize(("trouble", "words"), IN_ONE_CELL + APART)
def test_json_refers_to_the_notes(table, trouble, words, options):
    content = json.loads(table(trouble, "--format", "json", *options).out)
    (note,) = {note["mark"] for note in content["notes"] if words in note["text"] and note["mark"] in ("", "a")}
    cells = [cell for line in content["rows"] for cell in line if cell.get("values") == {"0": 0.8, "1": 0.82}]
    marked = content["columns"] if (trouble, words) in APART else cells
    assert any(one.get("notes") == note == "a" for one in marked)
    assert cells[0]["mean"] == pytest.approx(0.81)
