"""Labelled texts, wherever they come from, as batches of token ids."""

__all__: list[str] = []
