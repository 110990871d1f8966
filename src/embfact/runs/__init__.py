"""A run on disk: its identity, status and record, and the state it resumes from."""

__all__ = ["record"]
