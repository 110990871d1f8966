"""One vector for a text from those of its tokens."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from embfact.config.sections import Pooling

SMOOTHING = 1e-3
"""a in the weights a / (a + p) of frequent tokens, as Arora et al. have it."""


class TokenPooling(nn.Module):
    """A text as a mean of its tokens, weighted one way or another, or as their largest numbers.

    Padding never counts, on whichever side it is; special tokens do. A row without tokens is taken as all padding.

    * ``cls``: the first token; ``last``: the last one, which of a decoder has seen all others.
    * ``mean``, ``max``: all tokens alike, each column for itself.
    * ``weighted``: tokens by a / (a + p), with p their share of the training rows (smooth inverse frequency: Arora,
      Liang and Ma, "A Simple but Tough-to-Beat Baseline for Sentence Embeddings", ICLR 2017; without their removal of
      the first component). Until `count` is called they weigh alike.
    * ``attention``: weights softmax(h q / sqrt(H)) by a learned query q, which starts at zero, so as the mean.

    Args:
        kind: Which of them.
        vocab_size: Tokens V, for ``weighted``.
        hidden_size: Width H of the vectors, for ``attention``.
    """

    token_weights: torch.Tensor

    def __init__(self, kind: Pooling, vocab_size: int, hidden_size: int):
        super().__init__()
        self.kind = kind
        if kind == "weighted":
            self.register_buffer("token_weights", torch.ones(vocab_size))
        if kind == "attention":
            self.query = nn.Parameter(torch.zeros(hidden_size))

    def forward(self, states: torch.Tensor, mask: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        """The vectors of texts.

        Args:
            states: Vectors of their tokens, shape ``(b, t, H)``.
            mask: Not zero where a token is no padding, shape ``(b, t)``.
            ids: The tokens, shape ``(b, t)``.

        Returns:
            Shape ``(b, H)``, in the dtype of the states.
        """
        text = mask.bool()
        text = text | ~text.any(dim=1, keepdim=True)
        if self.kind == "max":
            return states.masked_fill(~text.unsqueeze(-1), float("-inf")).amax(dim=1)
        weights = self._weights(states, text, ids)
        weights = weights / weights.sum(dim=1, keepdim=True)
        return (weights.to(states.dtype).unsqueeze(1) @ states).squeeze(1)

    def _weights(self, states: torch.Tensor, text: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        """What each token counts for, none below zero, shape ``(b, t)``."""
        if self.kind == "attention":
            scores = states @ self.query.to(states.dtype) / states.shape[-1] ** 0.5
            return scores.float().masked_fill(~text, float("-inf")).softmax(dim=1)
        if self.kind == "weighted":
            return self.token_weights[ids] * text
        counted = text.cumsum(dim=1)
        if self.kind == "cls":
            text = text & (counted == 1)
        if self.kind == "last":
            text = text & (counted == counted[:, -1:])
        return text.float()

    def count(self, token_counts: np.ndarray) -> None:
        """Take the weights of ``weighted`` from what the training rows hold.

        Args:
            token_counts: Occurrences of each token, shape ``(V,)``.
        """
        shares = torch.from_numpy(token_counts / max(1.0, token_counts.sum()))
        self.token_weights.copy_(SMOOTHING / (SMOOTHING + shares))

    def extra_repr(self) -> str:
        """What `print(model)` says about this module."""
        return self.kind
