"""What a data-aware factorization may look at, taken from the training rows alone."""

from __future__ import annotations

from collections.abc import Collection

import torch

from embfact.data.tokenized import Tokenized
from embfact.factorization.base import Evidence, EvidenceKind


def collect(needs: Collection[EvidenceKind], train: Tokenized, vocab_size: int) -> Evidence:
    """The evidence that a method asks for, and nothing else.

    Args:
        needs: ``Method.needs``.
        train: The rows that this run trains on; held-out and reported rows must not be among them.
        vocab_size: Rows V of the table.

    Returns:
        Token counts of shape ``(V,)``, if asked for.
    """
    if "token_counts" not in needs:
        return Evidence()
    return Evidence(token_counts=torch.from_numpy(train.token_counts(vocab_size)))
