"""Statistics of results: intervals, paired tests, non-inferiority and summaries."""

__all__ = ["compare", "table_statistics"]
