"""Factorizing without training: a smaller model, and a table of all methods."""

__all__: list[str] = []
