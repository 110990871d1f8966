"""Primitives that know nothing of runs: locks, files written whole, signals, caches, cores, memory."""
