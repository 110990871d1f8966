"""Linear layers through oneDNN, and their gradients, are those of torch."""

from __future__ import annotations

import copy
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from embfact.kernels import linear

CAPACITY = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"


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


GROWTH = """
import ctypes, resource
from pathlib import Path
from embfact.kernels.linear import product
import torch

torch.set_num_threads(1)
weight = torch.randn(384, 384)

def resident():
    ctypes.CDLL(None).malloc_trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

product(torch.randn(199, 384), weight)
before = resident()
for rows in range(200, 400):
    product(torch.randn(rows, 384), weight)
print(resident() - before)
"""


def test_few_prepared_products_are_kept_unless_somebody_says_how_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CAPACITY, raising=False)
    runpy.run_path(linear.__file__)
    assert os.environ[CAPACITY] == "32"
    monkeypatch.setenv(CAPACITY, "1024")
    runpy.run_path(linear.__file__)
    assert os.environ[CAPACITY] == "1024"


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the system tells no memory in /proc")
@pytest.mark.skipif(not linear.is_available(), reason="needs oneDNN on x86")
def test_products_of_many_shapes_are_not_all_kept() -> None:
    def grown(**environment: str) -> int:
        places = {name: value for name, value in os.environ.items() if name != CAPACITY} | environment
        return int(subprocess.run([sys.executable, "-c", GROWTH], env=places, capture_output=True, check=True).stdout)

    assert grown() < 0.75 * grown(**{CAPACITY: "1024"})
