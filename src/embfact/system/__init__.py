"""Primitives that know nothing about runs: locks, atomic files, signals, cores, memory."""

__all__: list[str] = []
