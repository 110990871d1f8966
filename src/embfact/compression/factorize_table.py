"""The table of ``scripts/factorize.py``: size and error of each method; imports no torch."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

from embfact.embeddings.layout import Size
from embfact.formatting.markdown import markdown_grid
from embfact.formatting.numbers import short, with_share
from embfact.profiling.report import LOOKUP_TOKENS
from embfact.results.table.cells import UNDEFINED
from embfact.results.table.numbers import csv_of


@dataclass(frozen=True)
class MethodRow:
    """One method at one size.

    Attributes:
        method: Its name.
        storage: The storage format of its tables: ``float32``, ``int8-g64``.
        setting: The options in which rows of the table differ, as text; empty if they do not.
        size_name: What its size counts, e.g. ``rank``; None for a method without a size.
        rank: The resulting size; None for a method without one, or a row with a problem.
        parameters: Parameters of the embedding.
        bytes: Bytes of its tensors as saved.
        zstd_bytes: The same after compression by zstd.
        memory_bytes: Bytes of all its tensors in memory after a lookup, what was decoded included.
        lookup_microseconds: Microseconds in which it looks up `LOOKUP_TOKENS` tokens on this machine.
        error: Squared error of the table over its squared norm; None if there is nothing to compare.
        weighted_error: The same with each row weighted by its count in held-out texts; also None if all weighted rows
            are zero.
        seconds: Wall time of the fit.
        problem: Why there is no result, starting with ``does not fit`` or ``failed``; else None.
    """

    method: str
    storage: str
    setting: str = ""
    size_name: str | None = None
    rank: int | None = None
    parameters: int | None = None
    bytes: int | None = None
    zstd_bytes: int | None = None
    memory_bytes: int | None = None
    lookup_microseconds: float | None = None
    error: float | None = None
    weighted_error: float | None = None
    seconds: float | None = None
    problem: str | None = None

    @property
    def label(self) -> str:
        """Its name as in the tables of sweeps: ``svd``, ``svd int8-g64``."""
        return self.method if self.storage == "float32" else f"{self.method} {self.storage}"


@dataclass(frozen=True)
class MethodTable:
    """A comparison of methods on one token table.

    Attributes:
        model: Name of the backbone.
        vocab_size: Rows V of its table.
        width: Columns H.
        dense: Size of the dense table.
        corpus: Description of the texts whose tokens methods count.
        counted: Tokens in them.
        occurring: Distinct tokens in them.
        held_out: Description of the texts whose token counts weight the error; None if it is weighted by ``corpus``.
        threads: CPU threads.
        rows: The dense table first.
    """

    model: str
    vocab_size: int
    width: int
    dense: Size
    corpus: str
    counted: int
    occurring: int
    held_out: str | None
    threads: int
    rows: tuple[MethodRow, ...]


def _markdown(table: MethodTable, shipped: bool) -> str:
    labels = ["method", *(["setting"] if any(row.setting for row in table.rows) else []), "size"]
    costs = ["zstd", "vs. float32", "vs. float16", "memory", "lookup"] if shipped else []
    header = [*labels, "parameters", "bytes", *costs, "error", "weighted error", "seconds"]
    lines = [
        [
            row.label,
            *([row.setting] if "setting" in labels else []),
            _size(row),
            with_share(row.parameters, table.dense.parameters),
            with_share(row.bytes, table.dense.bytes, "B"),
            *(_costs(row, table.dense) if shipped else []),
            _error(row.error),
            _error(row.weighted_error),
            "" if row.seconds is None else f"{row.seconds:.2f}",
        ]
        for row in table.rows
    ]
    explained = (
        "zstd: bytes after compression. vs.: how many times smaller than dense would be in this format. Memory: of all "
        f"tensors, after a lookup. Lookup: of a text of {LOOKUP_TOKENS} tokens, the fastest of some. "
    )
    problems = [f"- {row.label} {row.problem}" for row in table.rows if row.problem]
    threads = f"{table.threads} CPU thread{'s' if table.threads > 1 else ''}"
    legend = (
        f"- Token table of {table.model}, {table.vocab_size:,} x {table.width}. Sizes as saved, in brackets as a share "
        f"of dense. Methods count the tokens of {table.corpus} ({table.counted:,} tokens, {table.occurring:,} "
        f"distinct). {explained if shipped else ''}Error: squared error of the stored table over its squared norm; "
        "weighted: each row by its count in "
        f"{table.held_out or 'the same texts, so too good for other texts'}. Seconds: the fit, without "
        f"reading or counting, on {threads}; further sizes of a method reuse what it computed for the first one."
    )
    return "\n".join([*markdown_grid(header, lines, len(labels)), "", legend, *problems]) + "\n"


def _costs(row: MethodRow, dense: Size) -> list[str]:
    """The cells of `shipped`; empty for a row with a problem."""
    if row.bytes is None or row.zstd_bytes is None or row.memory_bytes is None or row.lookup_microseconds is None:
        return [""] * 5
    times = (number * dense.parameters / row.bytes for number in (4, 2))
    return [
        f"{short(row.zstd_bytes)}B",
        *(f"{value:.1f}x" if value >= 1 else f"{value:.2f}x" for value in times),
        f"{short(row.memory_bytes)}B",
        f"{row.lookup_microseconds:,.0f} μs",
    ]


def _size(row: MethodRow) -> str:
    if row.problem:
        return row.problem.partition(":")[0]
    return UNDEFINED if row.rank is None else f"{row.size_name} {row.rank:,}"


def _error(value: float | None) -> str:
    if value is None:
        return UNDEFINED
    # Quantization errors are far below a thousandth.
    return f"{value:.3f}" if value == 0 or value >= 0.001 else f"{value:.1e}"


def _json(table: MethodTable) -> str:
    document = asdict(table) | {"rows": _numbers(table)}
    return json.dumps(document, indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def _numbers(table: MethodTable) -> list[dict[str, object]]:
    """The rows unrounded."""

    def share(part: int | None, whole: int) -> float | None:
        return None if part is None else part / whole

    return [
        asdict(row)
        | {
            "parameters_share": share(row.parameters, table.dense.parameters),
            "bytes_share": share(row.bytes, table.dense.bytes),
            "vs_float32": None if row.bytes is None else 4 * table.dense.parameters / row.bytes,
            "vs_float16": None if row.bytes is None else 2 * table.dense.parameters / row.bytes,
        }
        for row in table.rows
    ]


FORMATS: Mapping[str, Callable[[MethodTable, bool], str]] = {
    "md": _markdown,
    "csv": lambda table, _: csv_of(_numbers(table)),
    "json": lambda table, _: _json(table),
}
"""Formats of a table, and whether Markdown adds what the embedding costs where it is used: others always do."""
