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

from typing import Any

import torch
from torch import nn

from embfact.embeddings.low_rank import LowRankEmbedding


@torch.no_grad()
def carry_over(optimizer: torch.optim.Optimizer, table: nn.Parameter, embedding: LowRankEmbedding) -> None:
    """Have an AdamW train factors in the place of a table, with the moments of the table.

    The factors take the table's place in its parameter group; mu, a vector, goes to the group without weight decay.
    Learning rates and schedules belong to the groups and go on.

    Args:
        optimizer: An AdamW that trains `table`.
        table: The table W, shape ``(V, H)``; the optimizer forgets it.
        embedding: Its factors, in the dtype and on the device of the table.

    Raises:
        ValueError: If the optimizer does not train the table.
    """
    a, b, mean = embedding.factors.weight, embedding.projection.weight, embedding.mean
    home = _group_of(optimizer, table)
    place = next(index for index, parameter in enumerate(home["params"]) if parameter is table)
    home["params"][place : place + 1] = [a, b]
    if mean is not None:
        spared = next((group for group in optimizer.param_groups if not group["weight_decay"]), home)
        spared["params"].append(mean)
    state = optimizer.state.pop(table, {})
    if not state:  # a step that was skipped, as with the first scale of 16-bit gradients, has left nothing
        return
    m, v = state["exp_avg"], state["exp_avg_sq"]
    moments = {a: (m @ b.T, v @ b.square().T), b: (a.T @ m, a.square().T @ v)}
    if mean is not None:
        moments[mean] = (m.sum(dim=0), v.sum(dim=0))
    for parameter, (first, second) in moments.items():
        optimizer.state[parameter] = {"step": state["step"].clone(), "exp_avg": first, "exp_avg_sq": second}


def _group_of(optimizer: torch.optim.Optimizer, table: nn.Parameter) -> dict[str, Any]:
    for group in optimizer.param_groups:
        if any(parameter is table for parameter in group["params"]):
            return group
    raise ValueError("the optimizer does not train the table; leave it trainable until its factors take its place")
