"""Notes on seeds in plots: how many each point is based on, and which are missing.

Light to import: the standard library only.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping

from embfact.results.result_table import Column, DataVersion, ResultTable, Row, methods_or_all, row_label

_NAMED = 6  # rows named per group; nobody reads a list of forty


def counted(counts: Iterable[int]) -> str:
    """A number or range of seeds: ``3 seeds``, ``2 to 3 seeds``."""
    fewest, most = min(counts := list(counts)), max(counts)
    return f"{most} seed{'s' if most > 1 else ''}" if fewest == most else f"{fewest} to {most} seeds"


def describe_seeds(counts: Iterable[int]) -> str:
    """What a point shows: ``mean ± standard deviation over 3 seeds``, ``a single seed each``."""
    counts = list(counts)
    return f"mean ± standard deviation over {counted(counts)}" if max(counts) > 1 else "a single seed each"


def seed_note(table: ResultTable, data: DataVersion, seeds_of: Callable[[Row], int]) -> str:
    """Which rows have fewer seeds than others, and which have failed runs; empty if none.

    Args:
        table: The plotted table.
        data: The plotted data set.
        seeds_of: Number of seeds plotted for a row; 0 if it is not plotted.

    Returns:
        E.g. ``sst2: 3 seeds each, but 2 of svd r=64; failed: 1 run of svd r=64``.
    """
    fewer: dict[int, list[str]] = defaultdict(list)
    ended: dict[str, dict[int, list[str]]] = {"failed": defaultdict(list), "diverged": defaultdict(list)}
    usual = max(map(seeds_of, methods_or_all(table.rows, data)), default=0)
    for row in table.rows:
        name = "dense" if row.dense and not row.setting else row_label(row, table)
        if 0 < seeds_of(row) < usual:
            fewer[seeds_of(row)].append(name)
        for status, rows in ended.items():
            if count := sum(run.status == status for run in row.failed(data)):
                rows[count].append(name)
    parts = []
    if fewer:
        parts.append(f"{counted([usual])} each, but {_groups(fewer)}")
    parts += [f"{status}: {_groups(rows, ' run', ' runs')}" for status, rows in ended.items() if rows]
    return f"{data.label}: {'; '.join(parts)}" if parts else ""


def column_note(table: ResultTable, column: Column) -> str:
    """`seed_note` for a metric."""
    return seed_note(table, column.data, lambda row: len(row.spread(column).defined))


def _groups(groups: Mapping[int, list[str]], one: str = "", several: str = "") -> str:
    return ", ".join(
        f"{count}{one if count == 1 else several} of {names_of(names)}" for count, names in sorted(groups.items())
    )


def names_of(names: list[str]) -> str:
    """A list of names that stays readable."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
