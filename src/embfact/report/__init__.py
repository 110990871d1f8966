"""The report of a sweep: table, statistics, plots, dashboard and analysis in one folder."""

__all__ = ["write"]
