"""Backbones: where they come from, their table swapped, saved and loaded."""
