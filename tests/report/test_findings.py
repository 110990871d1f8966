"""What the report says of a sweep is what the statistics say."""

from __future__ import annotations

import re

from embfact.report.write import findings
from embfact.results.statistics.table_statistics import table_statistics
from tests.helpers.sweeps import Sweep


def cells(lines: list[str], name: str) -> list[str]:
    """The cells of the line of a Markdown table that begins with a name."""
    (line,) = (line for line in lines if re.match(rf"\| {re.escape(name)} +\|", line))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_every_row_stands_beside_dense_with_its_bound(sweep: Sweep) -> None:
    statistics = table_statistics(sweep.table)
    lines = findings(sweep.table, statistics)
    small, same = cells(lines, "svd r=32"), cells(lines, "svd r=128")
    (compared,) = (
        found for (place, _), found in statistics.comparisons.items() if sweep.table.rows[place].ranks == (32,)
    )
    assert small[2] == f"{100 * compared.difference:+.2f}"
    assert small[4] == "< 0.001"
    assert small[6] == "no"
    low, _, high = same[3].split()
    assert (same[2], float(low), same[4]) == ("+0.00", -float(high), "1.000")
    assert 0 < float(same[5]) < float(high)  # one-sided
    assert same[7] == "4 against 4"


def test_the_smallest_size_and_the_area_of_a_method(sweep: Sweep) -> None:
    method = cells(findings(sweep.table, table_statistics(sweep.table), tolerance=0.03), "svd")
    rows = {row.ranks: row for row in sweep.table.rows}
    size = rows[(128,)].finished()[0].size
    assert size is not None
    assert method[2] == method[3] == f"{size.embedding.bytes / 1e6:.1f}MB"
    # Nothing is lost down to rank 128, then the curve falls to what rank 32 retains of dense.
    assert 50 < float(method[1]) < 100


def test_with_more_tolerance_the_smaller_one_does(sweep: Sweep) -> None:
    lines = findings(sweep.table, table_statistics(sweep.table), tolerance=0.5)
    assert cells(lines, "svd r=32")[6] == "yes"


def test_a_row_that_cannot_be_compared_is_named(sweep: Sweep) -> None:
    lost = next(record for record in sweep.records if record.method.rank == 32)
    (sweep.places[lost.hash] / "predictions.parquet").unlink()
    lines = findings(sweep.table, table_statistics(sweep.table))
    assert not any(line.startswith("| svd r=32 ") for line in lines)
    assert any("svd r=32" in line and "predictions" in line for line in lines[lines.index("### Not compared") :])
