"""Many runs: planned, prepared, launched, reported and retried."""

__all__: list[str] = []
