"""Backbones: where they come from, how their table is replaced, saved and loaded."""
