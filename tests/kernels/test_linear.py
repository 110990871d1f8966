"""Linear layers through oneDNN, and their gradients, are those of torch."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from embfact.kernels import linear


@pytest.mark.skipif(not linear.is_available(), reason="this torch has no oneDNN, or the processor is no x86")
@pytest.mark.parametrize("bias", [True, False])
def test_linear_layers_and_their_gradients(bias: bool) -> None:
    layer = nn.Linear(12, 20, bias=bias)
    values = torch.randn(3, 5, 12, requires_grad=True)
    expected = torch.autograd.grad(layer(values).square().sum(), (values, *layer.parameters()))
    found = torch.autograd.grad(linear.forward(layer, values).square().sum(), (values, *layer.parameters()))
    torch.testing.assert_close(linear.forward(layer, values), layer(values))
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    half = copy.deepcopy(layer).bfloat16()
    assert linear.forward(half, values.bfloat16()).dtype == torch.bfloat16
    with torch.autocast("cpu"):
        assert linear.forward(layer, values).dtype == torch.bfloat16
