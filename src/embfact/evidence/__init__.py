"""What a data-aware factorization may look at: the training rows alone, or another corpus."""

from embfact.evidence.collection import collect

__all__ = ["collect"]
