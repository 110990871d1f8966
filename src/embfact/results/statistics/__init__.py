"""Statistics of results: intervals, paired tests, non-inferiority and summaries."""
