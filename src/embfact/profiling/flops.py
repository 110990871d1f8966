"""Floating-point operations of a training, counted on single rows without padding."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import PreTrainedModel

# The shortest rows that every model takes: the polynomial through them is exact, whatever the lengths.
_LENGTHS = (2, 3, 4)


@dataclass(frozen=True)
class RowFlops:
    """Operations of forward and backward pass over a row of n tokens: ``constant + linear n + quadratic n^2``.

    Attributes:
        constant: Those of a row of whatever length: pooler and head.
        linear: Those of a token: the matrices of the encoder.
        quadratic: Those of a pair of tokens: attention.
    """

    constant: float
    linear: float
    quadratic: float

    def of(self, rows: int, tokens: int, squares: int) -> float:
        """Operations of many rows.

        Args:
            rows: How many.
            tokens: The sum of their lengths.
            squares: The sum of the squares of their lengths.
        """
        return self.constant * rows + self.linear * tokens + self.quadratic * squares


def row_flops(model: PreTrainedModel, row: np.ndarray) -> RowFlops:
    """Count the matrix products of a step: a multiplication and an addition are two operations.

    It is done on a copy on the CPU with plain attention, which hides nothing in a kernel: the model, its gradients and
    the random numbers stay as they are. Only what needs a gradient has one, so a frozen part costs less. A table that
    is projected in the course of the training is counted as it is now.

    Args:
        model: The classifier as it will be trained.
        row: Token ids of any row with its special tokens, of which the first and the last are taken.

    Returns:
        The polynomial, exact for an encoder whose tokens all attend to each other.
    """
    twin = copy.deepcopy(model).cpu().eval()
    cast(Any, twin).set_attn_implementation("eager")
    short, middle, long = (_count(twin, [int(row[0])] * (n - 1) + [int(row[-1])]) for n in _LENGTHS)
    quadratic = (long - 2 * middle + short) / 2
    linear = middle - short - quadratic * (_LENGTHS[0] + _LENGTHS[1])
    return RowFlops(short - linear * _LENGTHS[0] - quadratic * _LENGTHS[0] ** 2, linear, quadratic)


def _count(model: PreTrainedModel, tokens: list[int]) -> int:
    with torch.enable_grad(), FlopCounterMode(display=False) as counter:
        ids = torch.tensor([tokens])
        model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits.sum().backward()
    model.zero_grad(set_to_none=True)
    return int(counter.get_total_flops())
