"""Factorizing without training: a model made smaller, and the table of all methods."""
