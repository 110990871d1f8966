"""Dropout on a CPU with cheap random bits.

torch draws a random number of 32 bits or more for every element, a large part of the cost of a training step, although
dropout (Srivastava et al., JMLR 2014) only needs a coin toss. Here an element uses 16 bits of a fast generator (SFC64),
whose seed comes from torch's own generator: the result follows from `torch.manual_seed`, and restoring a state of
torch's generator reproduces it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

LEVELS = 1 << 16  # values of 16 bits: a probability is a multiple of 1 / 65,536


def keep_mask(shape: Sequence[int], p: float) -> tuple[torch.Tensor, float]:
    """Which elements are kept, and the factor on them that preserves the mean.

    Args:
        shape: Shape of the tensor.
        p: Probability that an element is dropped, at least 0 and below 1; rounded to a multiple of 1 / 65,536.

    Returns:
        Ones and zeros, float32, of that shape; and 1 / (1 - p) of the rounded p.
    """
    dropped = min(round(p * LEVELS), LEVELS - 1)
    count = math.prod(shape)
    seed = int(torch.randint(2**63 - 1, ()))
    # Four elements per number of 64 bits.
    bits = np.random.SFC64(seed).random_raw(-(-count // 4)).view(np.uint16)[:count]
    stay = torch.from_numpy((bits >= dropped).astype(np.float32)).view(*shape)
    return stay, LEVELS / (LEVELS - dropped)


def dropout(values: torch.Tensor, p: float) -> torch.Tensor:
    """Zero each element of a floating-point CPU tensor with probability p, and scale the others to the same mean."""
    if p == 0:
        return values
    stay, scale = keep_mask(values.shape, p)
    return values * stay.mul_(scale).to(values.dtype)


def forward(module: nn.Dropout, values: torch.Tensor) -> torch.Tensor:
    """Replacement of ``nn.Dropout.forward``."""
    return dropout(values, module.p) if module.training else values
