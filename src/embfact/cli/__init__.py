"""The command lines."""

__all__: list[str] = []
