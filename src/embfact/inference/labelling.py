"""Labelling new text with a finished run."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa

from embfact.data.labels import HIDDEN
from embfact.data.readers import READERS, read_file
from embfact.data.rows import TEXT_COLUMNS, checked_rows
from embfact.data.source import MissingColumnError, Source
from embfact.data.text_lines import utf8_lines
from embfact.errors import DataError, UserError
from embfact.runs.finished_run import FinishedRun

PLAIN = ".txt"
SHOWN = 60  # characters of a text shown on a line
LABEL = "label, which new text has not"  # a column name that no file has


@dataclass(frozen=True)
class Labelled:
    """The predictions of a run for some texts.

    Attributes:
        rows: The texts, with the columns ``text`` and for pairs ``text_pair``.
        label_names: Class names in the order of the columns of `scores`; None for a regression.
        scores: Probabilities, shape ``(rows, classes)``, or the values of a regression, shape ``(rows, 1)``; float64.
    """

    rows: pa.Table
    label_names: tuple[str, ...] | None
    scores: np.ndarray

    def lines(self) -> list[str]:
        """One line per text: its label with all probabilities (or its value), and the start of the text."""
        return [f"{verdict}  {text}" for verdict, text in zip(self._verdicts(), self._beginnings(), strict=True)]

    def csv(self) -> str:
        """Columns: texts, label and ``probability of NAME`` for each class; for a regression texts and ``value``."""
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\n")
        names = self._text_columns()
        scores = ["value"] if self.label_names is None else [f"probability of {name}" for name in self.label_names]
        writer.writerow([*names, *([] if self.label_names is None else ["label"]), *scores])
        for texts, label, row in self._results():
            writer.writerow([*texts, *([] if label is None else [label]), *row])
        return file.getvalue()

    def jsonl(self) -> str:
        """One object per row: texts, ``label`` and ``probabilities`` by name; for a regression texts and ``value``."""
        lines = []
        for texts, label, row in self._results():
            result: dict[str, Any] = dict(zip(self._text_columns(), texts, strict=True))
            if label is None or self.label_names is None:
                result["value"] = row[0]
            else:
                result |= {"label": label, "probabilities": dict(zip(self.label_names, row, strict=True))}
            lines.append(json.dumps(result, ensure_ascii=False) + "\n")
        return "".join(lines)

    def _results(self) -> Iterator[tuple[list[str], str | None, list[float]]]:
        """Texts, label and rounded scores of each row; the label is None for a regression."""
        texts = zip(*(self.rows.column(name).to_pylist() for name in self._text_columns()), strict=True)
        for given, row in zip(texts, self.scores, strict=True):
            label = None if self.label_names is None else self.label_names[int(row.argmax())]
            yield list(given), label, [round(float(score), 6) for score in row]

    def _text_columns(self) -> list[str]:
        return [name for name in TEXT_COLUMNS if name in self.rows.column_names]

    def _verdicts(self) -> Iterator[str]:
        if self.label_names is None:
            yield from (f"{row[0]:.3f}" for row in self.scores)
            return
        width = max(len(name) for name in self.label_names)
        for row in self.scores:
            parts = "  ".join(f"{name} {score:.3f}" for name, score in zip(self.label_names, row, strict=True))
            yield f"{self.label_names[int(row.argmax())]:<{width}}  ({parts})"

    def _beginnings(self) -> Iterator[str]:
        for texts, _, _ in self._results():
            whole = " | ".join(" ".join(text.split()) for text in texts)
            yield whole if len(whole) <= SHOWN else whole[: SHOWN - 3] + "..."


FORMATS: Mapping[str, Callable[[Labelled], str]] = {".csv": Labelled.csv, ".jsonl": Labelled.jsonl}
"""The output formats, by file extension."""


def given_rows(run: FinishedRun, texts: Sequence[str], pairs: Sequence[str]) -> pa.Table:
    """Rows of texts from the command line, with the second text of each in `pairs` for a run on pairs.

    Raises:
        UserError: If the run needs pairs and there are none, or vice versa; if a text is empty.
    """
    if len(run.data.text) == 2 and len(pairs) != len(texts):
        first, second = run.data.text
        raise UserError(
            f"the run {run.record.name} was trained on pairs ({first}, {second}); "
            f"give one --pair for each --text (found {len(texts)} --text, {len(pairs)} --pair)"
        )
    if len(run.data.text) == 1 and pairs:
        raise UserError(f"the run {run.record.name} was trained on single texts; leave out --pair")
    given = dict(zip(("--text", "--pair"), (texts, pairs), strict=True))
    for option, values in given.items():
        for place, value in enumerate(values, 1):
            if not value.strip():
                raise UserError(f"{option} number {place} is empty; give it some text")
            if not value.isprintable() and any("\ud800" <= character <= "\udfff" for character in value):
                raise UserError(f"{option} number {place} is not UTF-8; set the terminal to UTF-8, or use --file")
    columns = {option: pa.array(values, pa.string()) for option, values in given.items() if values}
    return _rows(Source("the command line", pa.table(columns)))


def file_rows(run: FinishedRun, path: Path, columns: Sequence[str]) -> pa.Table:
    """Rows of a file: the lines of plain text, or the text columns of CSV, TSV, JSON Lines or Parquet.

    Args:
        run: The run that labels them.
        path: The file.
        columns: Names of its text columns; empty for those that the run was trained on.

    Raises:
        DataError: If the file cannot be read or lacks a column, or a text is missing or empty; with file and row.
        UserError: If the number of columns is not that of the run.
    """
    kinds = [PLAIN, *READERS]
    if path.suffix.lower() not in kinds:
        raise DataError(f"{path.name} ends in {path.suffix or 'nothing'!r}; use one of {', '.join(kinds)}")
    if not path.is_file():
        raise DataError(f"there is no file {path}; give an existing one with --file")
    needed = len(run.data.text)
    if path.suffix.lower() == PLAIN:
        if needed == 2 or columns:
            remedy = "give --file a CSV, TSV, JSON Lines or Parquet file"
            why = "holds single texts, but the run was trained on pairs" if needed == 2 else "has no columns"
            raise UserError(f"{path.name} {why}; {remedy}" + ("" if needed == 2 else ", or leave out --text-column"))
        return _rows(_plain(path))
    columns = list(columns) or run.data.text
    if len(columns) != needed:
        kind = "pairs" if needed == 2 else "single texts"
        raise UserError(
            f"the run {run.record.name} was trained on {kind}; give --text-column {needed} time{'s' * (needed > 1)} "
            f"(found {', '.join(columns)})"
        )
    try:
        source = read_file(path, columns)
    except MissingColumnError as error:
        raise DataError(f"{error.what} (option --text-column)") from None
    return _rows(source, columns)


def label_rows(run: FinishedRun, rows: pa.Table, device: str | None = None) -> Labelled:
    """Label rows from `given_rows` or `file_rows`.

    Raises:
        UserError: If the checkpoint or the device cannot be used.
    """
    from embfact.inference.scoring import Scorer  # imports torch

    scorer = Scorer(run, device)
    # A temporary cache: nobody expects a copy of their text in the shared one.
    with TemporaryDirectory() as folder:
        logits = scorer.logits(rows, max_length=run.data.max_length, batch_size=run.eval_batch_size, cache_dir=folder)
    scores = logits.astype(np.float64)
    return Labelled(rows, run.label_names, scores if run.label_names is None else softmax(scores))


def softmax(logits: np.ndarray) -> np.ndarray:
    """Class probabilities, shape ``(n, c)`` like the logits."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def _plain(path: Path) -> Source:
    texts = [line.rstrip("\r\n") for line in utf8_lines(path, path.name)]
    table = pa.table({"text": pa.array(texts, pa.string())})
    return Source(path.name, table, range(1, len(texts) + 1))


def _rows(source: Source, columns: Sequence[str] | None = None) -> pa.Table:
    """Validated rows with hidden labels."""
    columns = list(columns or source.table.column_names)
    for column in columns:
        kind = source.column(column).type
        if not (pa.types.is_string(kind) or pa.types.is_null(kind)):
            raise DataError(f"{source.name}: {column!r} holds {kind}, not text; choose another with --text-column")
    hidden = pa.array([HIDDEN] * source.table.num_rows, pa.string())
    unlabelled = Source(source.name, source.table.append_column(LABEL, hidden), source.lines)
    return checked_rows(unlabelled, columns, LABEL, None, allow_hidden=True)
