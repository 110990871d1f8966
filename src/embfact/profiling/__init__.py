"""Where the seconds of a run went: ``profile=true``."""

__all__: list[str] = []
