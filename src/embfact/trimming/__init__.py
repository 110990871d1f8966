"""A tokenizer with fewer tokens: tokenizer.json in, a smaller one out. Light to import: no torch, no transformers."""

__all__: list[str] = []
