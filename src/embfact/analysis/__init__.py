"""Analysis of a token table and of what a factorization keeps: spectra, errors, neighbours, clusters, plots."""
