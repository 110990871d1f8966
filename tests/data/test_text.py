"""A run gets the rows it may train on, select on and report on, from every source."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from embfact.config.data_config import DataConfig
from embfact.data.fingerprint import fingerprint
from embfact.data.text import load_split, load_text
from embfact.errors import DataError
from tests.helpers.places import CONF


def packaged(name: str, **options: Any) -> DataConfig:
    """The configuration of `conf/data/<name>.yaml`."""
    with initialize_config_dir(str(CONF), version_base=None):
        values: Any = OmegaConf.to_container(compose(overrides=[f"+data={name}"]))
    return DataConfig.model_validate(values["data"] | options)


def ids(table: Any) -> list[int]:
    return table.column("id").to_pylist()


def test_files_give_rows_names_and_a_fingerprint(files: Any) -> None:
    data = files()
    loaded = load_text(data, None)
    assert loaded.train.to_pydict() == {
        "id": [0, 1, 2, 3],
        "text": ["a fine film", "a dull film", "fine acting", "dull plot"],
        "label": [1, 0, 1, 0],
    }
    assert loaded.selection is None
    assert list(loaded.reports) == ["validation"]
    assert loaded.label_names == ("bad", "good")
    assert loaded.fingerprint == fingerprint(data, None)
    assert loaded.origin == "files train.csv, validation.csv"


def test_a_regression_has_targets_and_no_names(files: Any) -> None:
    data = files(train="text,label\na,0.5\nb,2\n", validation="text,label\nc,1\n", target="float", metrics=["pearson"])
    loaded = load_text(data, None)
    assert loaded.label_names is None
    assert loaded.train.column("label").to_pylist() == [0.5, 2.0]
    assert loaded.train.schema.field("label").type == pa.float64()


def test_a_label_that_training_never_saw_is_refused_with_its_line(files: Any) -> None:
    data = files(validation="text,label\nfine,good\nodd,strange\n")
    with pytest.raises(
        DataError, match=r"validation.csv, line 3: label 'strange' is unknown; the classes are: bad, good"
    ):
        load_text(data, None)


@pytest.mark.parametrize(
    ("train", "words"),
    [
        ("text,label\n", "train.csv has no rows"),
        ("text,label\nx,good\ny,good\n", "train.csv has only one class"),
        ("text,label\nx,good\n ,bad\n", "train.csv, line 3: the text in 'text' is empty"),
        ("txt,label\nx,good\n", "train.csv has no column 'text'; did you mean 'txt'"),
    ],
)
def test_training_files_that_cannot_be_used_are_refused(files: Any, train: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        load_text(files(train=train), None)


def many(rows: int) -> str:
    return "text,label\n" + "".join(f"text {row},{row % 2}\n" for row in range(rows))


def test_the_slice_does_not_move_with_train_size(files: Any) -> None:
    whole = load_text(files(many(200), many(10), selection_size=20), None)
    drawn = load_text(files(many(200), many(10), selection_size=20, train_size=50), None)
    assert ids(whole.selection) == ids(drawn.selection)
    assert len(ids(whole.train)) == 180
    assert len(ids(drawn.train)) == 50
    assert set(ids(drawn.train)) <= set(ids(whole.train))
    assert not set(ids(whole.train)) & set(ids(whole.selection))


def test_split_seed_moves_every_draw(files: Any) -> None:
    options = {"selection_size": 20, "train_size": 50, "eval_size": 10}
    first, other = (load_text(files(many(200), many(100), split_seed=seed, **options), None) for seed in (0, 1))
    assert ids(first.selection) != ids(other.selection)
    assert ids(first.train) != ids(other.train)
    assert ids(first.reports["validation"]) != ids(other.reports["validation"])
    assert len(ids(first.reports["validation"])) == 10


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"train_size": 181}, r"data.train_size=181 is more than the 180 rows of train.csv \(less 20 held out\)"),
        ({"eval_size": 101}, "data.eval_size=101 is more than the 100 rows of validation"),
        ({"selection_size": 200}, "data.selection_size=200 leaves none of the 200 training rows"),
    ],
)
def test_sizes_beyond_the_rows_say_how_many_there_are(files: Any, options: dict[str, int], words: str) -> None:
    with pytest.raises(DataError, match=words):
        load_text(files(many(200), many(100), **({"selection_size": 20} | options)), None)


def test_whole_sentences_of_pairs_are_refused(files: Any) -> None:
    train = "one,two,label\na,b,0\nc,d,1\n"
    data = files(train, train, text=["one", "two"], selection_size=1, selection_groups="containing_sentence")
    with pytest.raises(DataError, match="containing_sentence needs one text column"):
        load_text(data, None)


def test_one_split_is_coded_as_training_was(files: Any) -> None:
    data = files(validation="text,label\nfine,good\n")
    assert load_split(data, None, "validation").column("label").to_pylist() == [1]
    assert load_split(data, None, "validation", ("good", "bad")).column("label").to_pylist() == [0]
    with pytest.raises(DataError, match="label 'good' is unknown; the classes are: neg, pos"):
        load_split(data, None, "validation", ("neg", "pos"))


def test_the_training_file_says_whether_labels_are_codes_of_the_names(files: Any) -> None:
    data = files(
        train="text,label\na,0\nb,1\nc,2\n", validation="text,label\nd,2\n", label_names=["bad", "fine", "good"]
    )
    assert load_text(data, None).reports["validation"].column("label").to_pylist() == [2]
    assert load_split(data, None, "validation").column("label").to_pylist() == [2]
    with pytest.raises(DataError, match="label '2' is unknown; the classes are: bad, fine, good"):
        load_split(data.model_copy(update={"label_names": None}), None, "validation", ("bad", "fine", "good"))


def test_a_published_split_may_lack_a_class(config: Any, tmp_path: Path) -> None:
    for split, labels in {"train": [0, 1, 2], "validation": [1.0, 2.0]}.items():
        texts = [f"text {label}" for label in labels]
        pq.write_table(pa.table({"text": texts, "label": labels}), tmp_path / f"{split}.parquet")
    named = config(source="hub", hub="mine/own", mirror=".", label_names=["bad", "fine", "good"])
    assert load_text(named, str(tmp_path)).reports["validation"].column("label").to_pylist() == [1, 2]
    assert load_split(named, str(tmp_path), "validation").column("label").to_pylist() == [1, 2]
    loaded = load_text(named.model_copy(update={"label_names": None}), str(tmp_path))
    assert loaded.label_names == ("0", "1", "2")
    assert loaded.reports["validation"].column("label").to_pylist() == [1, 2]


def test_a_mirror_with_hidden_labels_cannot_be_reported_on(config: Any, tmp_path: Path) -> None:
    for split, labels in {"train": [0, 1], "test": [-1, -1]}.items():
        pq.write_table(pa.table({"text": ["a", "b"], "label": labels}), tmp_path / f"{split}.parquet")
    options = {"source": "hub", "hub": "mine/own", "mirror": ".", "label_names": ["no", "yes"]}
    data = config(**options, report_splits=["test"])
    with pytest.raises(DataError, match="labels are hidden"):
        load_text(data, str(tmp_path))
    assert load_split(data, str(tmp_path), "test").column("label").null_count == 2


def test_vader_needs_neither_hub_nor_files() -> None:
    loaded = load_text(packaged("vader"), None)
    assert loaded.selection is not None
    texts = [
        set(table.column("text").to_pylist()) for table in (loaded.train, loaded.selection, loaded.reports["test"])
    ]
    assert [len(part) for part in texts] == [5496, 500, 1498]
    assert len(set.union(*texts)) == sum(len(part) for part in texts)


ROWS = {
    "sst2": (67_349, {"validation": (872, 444)}),
    "cola": (8_551, {"validation": (1_043, 721)}),
    "rte": (2_490, {"validation": (277, 131)}),
    "imdb": (25_000, {"test": (25_000, 12_500)}),
}


@pytest.mark.real_data
@pytest.mark.parametrize("name", ROWS)
def test_published_data_sets_load_with_their_published_rows(name: str, real_data_dir: Any) -> None:
    data = packaged(name)
    loaded = load_text(data, real_data_dir(data.mirror))
    assert loaded.selection is not None
    total, reports = ROWS[name]
    kept = sorted(ids(loaded.train) + ids(loaded.selection))
    if data.selection_groups:  # phrases of held-out sentences are in neither
        assert len(set(kept)) == len(kept) < total
    elif data.drop_reported:
        seen = set(loaded.reports["test"].column("text").to_pylist())
        published = load_split(data, real_data_dir(data.mirror), "train").column("text").to_pylist()
        assert kept == [row for row, text in enumerate(published) if text not in seen]
    else:
        assert kept == list(range(total))
    assert loaded.selection.num_rows == data.selection_size
    found = {split: (rows.num_rows, sum(rows.column("label").to_pylist())) for split, rows in loaded.reports.items()}
    assert found == reports


@pytest.mark.real_data
def test_the_held_out_slice_of_sst2_is_like_what_is_reported(real_data_dir: Any) -> None:
    loaded = load_text(packaged("sst2"), real_data_dir("glue/sst2"))
    assert loaded.selection is not None
    for column, far in (
        ("text", 1.0),
        ("label", 0.06),
    ):  # in words; in shares of positive rows, about 2.5 standard errors
        means = [
            float(
                np.mean(
                    [len(value.split()) if column == "text" else value for value in rows.column(column).to_pylist()]
                )
            )
            for rows in (loaded.selection, loaded.reports["validation"])
        ]
        assert abs(means[0] - means[1]) < far, (column, means)


@pytest.mark.real_data
def test_no_held_out_sst2_row_is_part_of_a_training_row(real_data_dir: Any) -> None:
    loaded = load_text(packaged("sst2"), real_data_dir("glue/sst2"))
    assert loaded.selection is not None
    training = "\n".join(f" {' '.join(text.split())} " for text in loaded.train.column("text").to_pylist())
    held_out = [f" {' '.join(text.split())} " for text in loaded.selection.column("text").to_pylist()]
    assert not [text for text in held_out if text in training]


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["sst2", "cola", "rte"])
def test_glue_test_labels_are_hidden(name: str, real_data_dir: Any) -> None:
    data = packaged(name)
    rows = load_split(data, real_data_dir(data.mirror), "test")
    assert rows.column("label").null_count == rows.num_rows > 1000


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("names", [None, ["bad", "good"]])
@pytest.mark.parametrize("empty", ["train", "validation"])
def test_a_file_without_rows_says_so(config: Any, tmp_path: Path, kind: str, names: Any, empty: str) -> None:
    paths = {}
    for split in ("train", "validation"):
        rows = [] if split == empty else [{"text": "a", "label": "good"}, {"text": "b", "label": "bad"}]
        paths[split] = path = tmp_path / f"{split}.{kind}"
        if kind == "parquet":
            pq.write_table(pa.Table.from_pylist(rows, pa.schema({"text": pa.string(), "label": pa.string()})), path)
        elif kind == "jsonl":
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        else:
            path.write_text("text,label\n" + "".join(f"{row['text']},{row['label']}\n" for row in rows))
    data = config(train_file=str(paths["train"]), validation_file=str(paths["validation"]), label_names=names)
    with pytest.raises(DataError, match=f"{empty}.{kind} has no rows"):
        load_text(data, None)


def test_rows_follow_the_seed_of_the_run_if_asked(files: Any) -> None:
    options = {"selection_size": 20, "train_size": 50, "eval_size": 10}
    fixed, following = (files(many(200), many(100), split_seed=seed, **options) for seed in (1, "seed"))
    texts = {
        name: [load_text(data, None, seed=seed).train.column("text").to_pylist() for seed in (1, 2)]
        for name, data in (("fixed", fixed), ("following", following))
    }
    assert texts["fixed"][0] == texts["fixed"][1] == texts["following"][0] != texts["following"][1]
    # All runs are scored on the same rows, or they could not be compared example by example.
    first, second = (ids(load_text(following, None, seed=seed).reports["validation"]) for seed in (1, 2))
    assert first == second


def test_texts_that_are_reported_are_left_out_if_asked(files: Any) -> None:
    data = files(many(30), many(10), selection_size=5, drop_reported=True)
    loaded = load_text(data, None)
    assert loaded.selection is not None
    reported = {text.lower() for text in loaded.reports["validation"].column("text").to_pylist()}
    for rows in (loaded.train, loaded.selection):
        assert not reported & {text.lower() for text in rows.column("text").to_pylist()}
    assert len(loaded.train) + len(loaded.selection) == 20
