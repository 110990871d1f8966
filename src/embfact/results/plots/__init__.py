"""Plots of a sweep, drawn from records and learning curves."""
