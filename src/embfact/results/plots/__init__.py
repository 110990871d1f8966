"""Plots of a sweep, drawn from records and learning curves."""

__all__ = ["draw", "spec", "style"]
