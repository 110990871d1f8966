"""One run, start to end: from its configuration to its record."""

__all__: list[str] = []
