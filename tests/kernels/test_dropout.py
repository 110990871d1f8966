"""Cheap dropout is a coin for each element, thrown by torch's seed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from embfact.kernels.dropout import dropout, keep_mask


@given(st.floats(0, 0.999), st.integers(0, 2**31))
def test_dropped_share_is_that_of_a_coin(p: float, seed: int) -> None:
    torch.manual_seed(seed)
    stay, scale = keep_mask((50, 400), p)
    rounded = round(p * 65536) / 65536
    assert abs(rounded - p) <= 2**-17
    assert scale == pytest.approx(1 / (1 - rounded))
    assert set(stay.unique().tolist()) <= {0.0, 1.0}
    assert binomtest(int((stay == 0).sum()), stay.numel(), rounded).pvalue > 1e-6


def test_elements_are_dropped_independently_of_their_neighbours() -> None:
    torch.manual_seed(0)
    dropped = 1 - keep_mask((1000, 1000), 0.1)[0].numpy().ravel()
    for shift in (1, 2, 3, 4, 5, 1000):
        assert abs(np.corrcoef(dropped[:-shift], dropped[shift:])[0, 1]) < 5e-3


def test_dropout_follows_from_the_seed_of_torch_and_its_gradient_from_the_mask() -> None:
    values = torch.randn(64, 32, requires_grad=True)
    torch.manual_seed(7)
    first = dropout(values, 0.5)
    state = torch.get_rng_state()
    second = dropout(values, 0.5)
    torch.manual_seed(7)
    assert torch.equal(dropout(values, 0.5), first)
    assert not torch.equal(first, second)
    torch.set_rng_state(state)
    assert torch.equal(dropout(values, 0.5), second)
    first.sum().backward()
    assert torch.equal(values.grad, torch.where(first == 0, 0.0, 2.0))
    assert torch.equal(first, torch.where(first == 0, 0.0, 2 * values))


def test_no_dropout_draws_nothing() -> None:
    values = torch.randn(3)
    state = torch.get_rng_state()
    assert dropout(values, 0.0) is values
    assert torch.equal(torch.get_rng_state(), state)
