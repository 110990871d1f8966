"""Launching the runs of a sweep: one after another, in parallel, or on other machines."""

__all__ = ["base"]
