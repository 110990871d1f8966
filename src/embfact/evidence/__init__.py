"""What a data-aware factorization may look at, taken from the training rows alone, or from another corpus."""

from embfact.evidence.collection import collect

__all__ = ["collect"]
