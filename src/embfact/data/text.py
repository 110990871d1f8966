"""Labelled texts of a run, wherever they come from: the only way into the data for the rest of the program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from embfact.config.data_config import DataConfig
from embfact.data.classes import Classes
from embfact.data.fingerprint import Origin, fingerprint_of, locate
from embfact.data.hub import read_hub
from embfact.data.labels import class_codes, distinct_labels, found_classes
from embfact.data.rated_sentences import read_rated_sentences
from embfact.data.readers import check_header, read_file
from embfact.data.rows import checked_rows
from embfact.data.source import Source
from embfact.data.splits import draw, hold_out, reported
from embfact.data.vader import read_vader
from embfact.errors import DataError


@dataclass(frozen=True)
class TextData:
    """The rows of a run.

    Every table has the columns ``id`` (int64, row number in the split as published), ``text`` (string), ``text_pair``
    (string, pairs only) and ``label`` (int64 codes, or float64 targets).

    Attributes:
        train: Rows to train on.
        train_all: The rows that ``train`` was drawn from, without held-out ones: more texts, whose labels do not count.
        selection: Rows held out of the training split to select on, or None.
        reports: Rows to report on, by split.
        label_names: Class names in the order of their codes; None for a regression.
        fingerprint: SHA-256 of the data.
        origin: Where the rows come from, for a human reader.
    """

    train: pa.Table
    train_all: pa.Table
    selection: pa.Table | None
    reports: Mapping[str, pa.Table]
    label_names: tuple[str, ...] | None
    fingerprint: str
    origin: str


def load_text(data: DataConfig, data_dir: str | None, cache_dir: str | None = None, *, seed: int = 0) -> TextData:
    """The rows to train on, to select on and to report on.

    The slice to select on is held out first: it does not depend on ``train_size``.

    Args:
        data: The data set.
        data_dir: Folder of the local mirror, or None.
        cache_dir: Folder that the rated sentences are fetched into; other data sets need none.
        seed: Seed of the run, which draws the rows if ``split_seed`` is ``"seed"``.

    Raises:
        DataError: If the data cannot be found or used; with file and row.
    """
    origin = locate(data, data_dir, cache_dir=cache_dir)
    source = _read(data, origin, data.train_split)
    classes = _classes(data, source)
    rows = _checked(data, source, classes)
    whole_sentences = data.selection_groups == "containing_sentence"
    if whole_sentences and len(data.text) != 1:
        raise DataError("data.selection_groups=containing_sentence needs one text column; set it to null for pairs")
    published = {split: _checked(data, _read(data, origin, split), classes) for split in data.report_splits}
    groups = source.groups
    if data.drop_reported:
        usable = ~reported(rows, published.values())
        rows = rows.filter(pa.array(usable))
        groups = None if groups is None else [group for group, kept in zip(groups, usable, strict=True) if kept]
    size, draws = data.selection_size, data.split_seed_of(seed)
    held_out, selected = hold_out(rows, size, draws, whole_sentences=whole_sentences, groups=groups)
    train_all = rows.filter(pa.array(~held_out))
    train = draw(
        train_all,
        data.train_size,
        draws,
        option="data.train_size",
        split=data.train_split,
        words=f"{source.name} (less {held_out.sum()} held out)",
    )
    reports = {
        split: draw(found, data.eval_size, data.report_seed, option="data.eval_size", split=split)
        for split, found in published.items()
    }
    selection = rows.filter(pa.array(selected)) if selected.any() else None
    names = None if classes is None else classes.names
    return TextData(train, train_all, selection, reports, names, fingerprint_of(data, origin), origin.words)


def load_split(
    data: DataConfig,
    data_dir: str | None,
    split: str,
    label_names: Sequence[str] | None = None,
    *,
    cache_dir: str | None = None,
) -> pa.Table:
    """All rows of one split, whose labels may be hidden, as a table as in `TextData`; hidden labels are null.

    The classes are ``label_names``, in the order of their codes, or those of the data set. Folders are as for
    `load_text`.

    Raises:
        DataError: If the split cannot be found or used; with file and row.
    """
    codes = data.label_names is not None and data.source != "files"
    if data.target == "float" or label_names or codes:
        origin = locate(data, data_dir, [split], cache_dir=cache_dir)
        names = tuple(label_names or data.label_names or ())
        classes = None if data.target == "float" else Classes(names, positions=codes)
    else:  # the training labels define the classes, and for files whether they are codes
        origin = locate(data, data_dir, [data.train_split, split])
        classes = _classes(data, _read(data, origin, data.train_split))
    return _checked(data, _read(data, origin, split), classes, allow_hidden=True)


def check_files(data: DataConfig) -> None:
    """Refuse user files that lack a column, or whose class labels do not match; their texts are not read.

    Raises:
        MissingColumnError: With the column and the nearest names.
        LabelError: With the classes, and the labels of the file that has others.
        DataError: If a file cannot be read, or a row has no label.
    """
    origin = locate(data, None)
    splits = (data.train_split, *data.report_splits)
    for split in splits:
        check_header(origin.files[split], [*data.text, data.label])
    if data.target == "float":
        return
    train, *reports = (read_file(origin.files[split], [data.label]) for split in splits)
    if classes := _classes(data, train):
        for source in (train, *reports):
            class_codes(source, data.label, classes)


def _read(data: DataConfig, origin: Origin, split: str) -> Source:
    if origin.kind == "hub":
        return read_hub(data, origin, split)
    if origin.kind == "vader":
        return read_vader(origin.files["lexicon"], split, data.text[0], data.label)
    if origin.kind == "rated_sentences" and data.collection:
        archive = origin.files[data.collection]
        return read_rated_sentences(archive, data.collection, split, data.text[0], data.label, data.target)
    name = f"{data.mirror}/{split}.parquet" if origin.kind == "mirror" else None
    return read_file(origin.files[split], [*data.text, data.label], name)


def _classes(data: DataConfig, train: Source) -> Classes | None:
    """The classes that a data set names, or that its training labels define; None for a regression."""
    if data.target == "float":
        return None
    if data.label_names is None:
        return found_classes(train, data.label)
    names = Classes(tuple(data.label_names))
    # Published data sets have codes where they have names. Files carry no such promise: they must hold every code.
    return replace(names, positions=data.source != "files" or names.are_positions(distinct_labels(train, data.label)))


def _checked(data: DataConfig, source: Source, classes: Classes | None, *, allow_hidden: bool = False) -> pa.Table:
    published = data.source != "files"
    return checked_rows(source, data.text, data.label, classes, allow_hidden=allow_hidden, allow_empty_side=published)
