"""Numbers, sizes and plain tables for a human reader."""

__all__: list[str] = []
