"""The figures of a table as a person reads them: rounded, in percent, with units.

Light to import: the standard library only.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from statistics import fmean

from embfact.records.record import RunRecord
from embfact.records.table import Column, Row, Table

UNDEFINED = "\u2013"  # an en dash, as tables in print have it
# Header, and where the figure is in `RunRecord.size` and in `RunRecord.size.dense`.
SIZES = {
    "emb. params": "embedding.parameters",
    "emb. bytes": "embedding.bytes",
    "model params": "model.parameters",
    "model bytes": "model.bytes",
}


def text_cells(table: Table) -> tuple[list[str], list[list[str]], int]:
    """What a reader sees of a table.

    Returns:
        The header, the lines, and how many leading columns hold words; all other columns hold figures.
    """
    with_model = len({row.model for row in table.rows}) > 1
    with_setting = any(row.setting for row in table.rows)
    # One budget for all rows is no news; see `embfact.records.notes.legend`.
    with_target = len({row.target for row in table.rows if row.asked}) > 1
    words = {
        **({"model": "model"} if with_model else {}),
        "method": "label",
        **({"setting": "setting"} if with_setting else {}),
        **({"asked": "target"} if with_target else {}),
    }
    mixed = any(row.size_name != "rank" for row in table.rows if row.ranks)
    header = [
        *words,
        "size" if mixed else "rank",
        *SIZES,
        *(_heading(column, table) for column in table.columns),
        "seconds",
    ]
    usual = {column: max(len(row.spread(column).values) for row in table.rows) for column in table.columns}
    lines = [
        [
            *(str(getattr(row, word)) for word in words.values()),
            (f"{row.size_name} " if mixed and row.ranks else "") + (rank_range(row.ranks) or UNDEFINED),
            *(_size(row.finished(), path) for path in SIZES.values()),
            *(_figure(row, column, usual[column]) for column in table.columns),
            _seconds(mean_seconds(row.finished())),
        ]
        for row in table.rows
    ]
    return header, lines, len(words)


def rank_range(ranks: Sequence[int]) -> str:
    """A rank, or the smallest and the largest of several: ``64``, ``57 to 61``; empty for none."""
    return " to ".join(map(str, dict.fromkeys([*ranks[:1], *ranks[-1:]])))


def _heading(column: Column, table: Table) -> str:
    splits = {other.split for other in table.columns if other.data == column.data}
    split = f" {column.split}" if len(splits) > 1 else ""
    return f"{column.data.label}{split} {column.metric}"


def _figure(row: Row, column: Column, usual: int) -> str:
    spread = row.spread(column)
    if not spread.values:
        return "failed" if row.failed(column.data) else ""
    if spread.mean is None:
        return UNDEFINED
    count = len(spread.defined)
    deviation = f" ± {100 * spread.std:.1f}" if spread.std is not None else ""
    # In front, so that the figures of a right-aligned column stay below each other.
    return f"{f'(n={count}) ' if count != usual else ''}{100 * spread.mean:.1f}{deviation}"


def _size(runs: Sequence[RunRecord], path: str) -> str:
    """A size with its share of dense; a range where data sets differ in it by more than is shown."""
    pairs = {(attrgetter(path)(run.size), attrgetter(path)(run.size.dense)) for run in runs if run.size}
    unit = "B" if path.endswith("bytes") else ""
    shown = dict.fromkeys(with_share(size, dense, unit) for size, dense in sorted(pairs))
    texts = list(shown)
    return texts[0] if len(texts) == 1 else f"{texts[0]} to {texts[-1]}" if texts else ""


def with_share(size: int | None, dense: int, unit: str = "") -> str:
    """A size and its share of dense: ``7.91MB (16.9%)``; empty for none."""
    return "" if size is None else f"{short(size)}{unit} ({100 * size / dense:.1f}%)"


def short(count: int) -> str:
    """Three digits and a decimal prefix: 11720448 is 11.7M."""
    # The limits are those at which the rounded figure would need a fourth digit.
    power = next((power for power in range(3) if count < 999.5 * 1000**power), 3)
    value = count / 1000**power
    digits = 0 if not power or value >= 99.95 else 1 if value >= 9.995 else 2
    return f"{value:.{digits}f}{['', 'k', 'M', 'G'][power]}"


def mean_seconds(runs: Sequence[RunRecord]) -> float | None:
    """Mean wall time of whole runs in seconds; None without any."""
    return fmean(run.seconds.total for run in runs) if runs else None


def _seconds(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f"{seconds:.1f}" if seconds < 100 else f"{seconds:,.0f}"
