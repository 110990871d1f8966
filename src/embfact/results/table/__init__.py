"""Tables of runs: content of the cells, notes, and output formats."""

__all__ = ["render", "request"]
