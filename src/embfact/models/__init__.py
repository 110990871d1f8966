"""Backbones: where they come from, how their table is replaced, saved and loaded."""

__all__ = ["backbones", "storage"]
