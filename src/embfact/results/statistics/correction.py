"""One table, many tests: p-values that hold for all of them together."""

from __future__ import annotations

from collections.abc import Sequence


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Adjust p-values so that the chance of any false discovery among them is bounded (Holm, 1979).

    Args:
        p_values: All tests of a table; None where there was none, which does not count as a test.

    Returns:
        The adjusted p-values in the same order, None where there was none.
    """
    tested = [value for value in p_values if value is not None]
    if not tested:
        return [None] * len(p_values)
    from statsmodels.stats.multitest import multipletests

    adjusted = iter(multipletests(tested, method="holm")[1])
    return [None if value is None else float(next(adjusted)) for value in p_values]
