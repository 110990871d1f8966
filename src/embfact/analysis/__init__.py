"""Analysis of a token table and of what a factorization keeps: spectra, errors, neighbours, clusters, plots."""

__all__ = ["frequency", "measure", "plots", "spectrum"]
