"""Numbers for a human reader: sizes with a prefix and as a share of dense, durations."""

from __future__ import annotations


def with_share(size: int | None, dense: int, unit: str = "") -> str:
    """A size and its share of dense: ``7.91MB (16.9%)``; empty for none."""
    return "" if size is None else f"{short(size)}{unit} ({100 * size / dense:.1f}%)"


def short(count: int) -> str:
    """Three digits and a decimal prefix: 11720448 is 11.7M."""
    # At these limits the rounded figure would need a fourth digit.
    power = next((power for power in range(3) if count < 999.5 * 1000**power), 3)
    value = count / 1000**power
    digits = 0 if not power or value >= 99.95 else 1 if value >= 9.995 else 2
    return f"{value:.{digits}f}{['', 'k', 'M', 'G'][power]}"


def duration(seconds: float) -> str:
    """A duration: ``45 s``, ``12 min``, ``3 h 20 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
