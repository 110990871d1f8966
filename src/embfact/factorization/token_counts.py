"""Token counts as methods use them: checked, and as an order of the tokens."""

from __future__ import annotations

import torch

from embfact.errors import UserError
from embfact.factorization.base import Evidence


def checked_counts(evidence: Evidence | None, vocab_size: int, method: str) -> torch.Tensor:
    """The token counts of the evidence, shape ``(V,)``, in float64 on the CPU.

    Raises:
        ValueError: If there are none, or they cannot weigh the rows of the table; with the name of the method.
    """
    counts = None if evidence is None else evidence.token_counts
    if counts is None:
        raise ValueError(f"{method} needs token counts (found none); pass evidence=Evidence(token_counts=COUNTS)")
    counts = checked_weights(counts, vocab_size, "token counts", "count with the tokenizer of the same backbone")
    if not counts.any():
        raise ValueError("all token counts are 0; count on text that has tokens of this vocabulary")
    return counts


def checked_weights(weights: torch.Tensor, vocab_size: int, what: str, remedy: str) -> torch.Tensor:
    """Numbers of 0 or more for each row of a table, shape ``(V,)``, in float64 on the CPU.

    Raises:
        UserError: With their name (``what``) and the remedy, if their number is not V or one cannot be a weight.
    """
    if weights.shape != (vocab_size,):
        raise UserError(
            f"{what} must have one number for each of the {vocab_size} rows of the table "
            f"(found shape {tuple(weights.shape)}); {remedy}"
        )
    weights = weights.detach().to("cpu", torch.float64)
    faulty = ~(torch.isfinite(weights) & (weights >= 0))
    if faulty.any():
        token = int(faulty.nonzero()[0])
        raise UserError(f"{what} must be finite and 0 or more (found {weights[token]:g} for token {token}); {remedy}")
    return weights


def by_frequency(counts: torch.Tensor, padding_idx: int | None = None) -> torch.Tensor:
    """Token ids, most frequent first, shape ``(V,)``: ties by id, the padding id after all others."""
    if padding_idx is not None:
        counts = counts.clone()
        counts[padding_idx] = -1
    return torch.argsort(counts, descending=True, stable=True)
