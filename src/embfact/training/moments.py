"""What AdamW has learnt of a table, carried over to the factors that take its place.

AdamW (Loshchilov and Hutter, 2019) keeps running means of the gradient, m, and of its square, v. With W = 1 muᵀ + A B
and G the gradient of W, the chain rule gives dA = G Bᵀ, dB = Aᵀ G and dmu = Gᵀ 1, so

- first moments are exact for the factors as they are at that moment, being linear in G:
  m_A = m Bᵀ, m_B = Aᵀ m, m_mu = mᵀ 1;
- second moments are those of gradients whose entries are uncorrelated, since the mean of a squared sum is then the sum
  of the mean squares: v_A = v (B∘B)ᵀ, v_B = (A∘A)ᵀ v, v_mu = vᵀ 1. Only v is kept of the past, so nothing better can
  be known;
- the count of steps, which corrects both for their start at zero, stays.
"""

from __future__ import annotations

import torch
from torch import nn

from embfact.embeddings.low_rank import LowRankEmbedding


@torch.no_grad()
def carry_over(optimizer: torch.optim.Optimizer, table: nn.Parameter, embedding: LowRankEmbedding) -> None:
    """Give an AdamW the moments of the factors that take the place of a table; in its groups the caller puts them.

    Args:
        optimizer: An AdamW that trains `table`.
        table: The table W, shape ``(V, H)``; the optimizer forgets it.
        embedding: Its factors, in the dtype and on the device of the table.

    Raises:
        ValueError: If the optimizer does not train the table.
    """
    a, b, mean = embedding.factors.weight, embedding.projection.weight, embedding.mean
    if not any(parameter is table for group in optimizer.param_groups for parameter in group["params"]):
        raise ValueError("the optimizer does not train the table; leave it trainable until its factors take its place")
    state = optimizer.state.pop(table, {})
    if not state:  # a step that was skipped, as with the first scale of 16-bit gradients, has left nothing
        return
    m, v = state["exp_avg"], state["exp_avg_sq"]
    moments = {a: (m @ b.T, v @ b.square().T), b: (a.T @ m, a.square().T @ v)}
    if mean is not None:
        moments[mean] = (m.sum(dim=0), v.sum(dim=0))
    for parameter, (first, second) in moments.items():
        optimizer.state[parameter] = {"step": state["step"].clone(), "exp_avg": first, "exp_avg_sq": second}
