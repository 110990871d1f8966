"""Cheaper computations of the same functions, with the same distributions of random numbers."""

__all__: list[str] = []
