"""Cheaper ways to compute what a model computes: the same function, the same distribution of its random numbers."""
