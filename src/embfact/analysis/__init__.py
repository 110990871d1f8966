"""What a token table holds and what a factorization leaves of it: spectra, errors, neighbours, clusters, pictures."""
