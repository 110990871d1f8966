"""Each pooling is what its name says, whatever is padded on either side."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from embfact.config.sections import Pooling
from embfact.models.pooled import TokenPooling

V, H = 7, 5
KINDS = get_args(Pooling)
COUNTS = np.array([40.0, 0, 1, 5, 20, 30, 4])


def pooling(kind: str) -> TokenPooling:
    module = TokenPooling(kind, V, H)
    if kind == "weighted":
        module.count(COUNTS)
    if kind == "attention":
        module.query.data = torch.linspace(-1, 1, H)
    return module


def expected(kind: str, ids: list[int], states: np.ndarray) -> np.ndarray:
    """What is pooled of one text of shape ``(n, H)``, without padding."""
    if kind == "cls":
        return states[0]
    if kind == "last":
        return states[-1]
    if kind == "max":
        return states.max(axis=0)
    weights = np.ones(len(ids))
    if kind == "weighted":
        weights = np.array([1e-3 / (1e-3 + COUNTS[token] / 100) for token in ids])
    if kind == "attention":
        weights = np.exp(states @ np.linspace(-1, 1, H) / np.sqrt(H))
    return (weights[:, None] * states).sum(axis=0) / weights.sum()


def padded(texts: list[list[int]], vectors: list[np.ndarray], side: str) -> tuple[torch.Tensor, ...]:
    """States, mask and ids; what stands at padding is larger than all else, so that a trace of it shows."""
    width = max(map(len, texts))
    states, mask, ids = torch.full((len(texts), width, H), 99.0), torch.zeros(len(texts), width), None
    ids = torch.zeros(len(texts), width, dtype=torch.int64)
    for row, (text, own) in enumerate(zip(texts, vectors, strict=True)):
        place = slice(0, len(text)) if side == "right" else slice(width - len(text), width)
        states[row, place], mask[row, place] = torch.from_numpy(own).float(), 1
        ids[row, place] = torch.tensor(text)
    return states, mask.long(), ids


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25, deadline=None)
@given(texts=st.lists(st.lists(st.integers(0, V - 1), min_size=1, max_size=6), min_size=1, max_size=4))
def test_it_is_the_written_out_formula_for_each_text_by_itself(kind: str, side: str, texts: list[list[int]]) -> None:
    random = np.random.default_rng(0)
    vectors = [random.normal(size=(len(text), H)) for text in texts]
    found = pooling(kind)(*padded(texts, vectors, side)).detach().numpy()
    wanted = [expected(kind, text, own) for text, own in zip(texts, vectors, strict=True)]
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_reach_text_and_never_padding(kind: str) -> None:
    module, random = pooling(kind), np.random.default_rng(0)
    texts = [[1, 2, 3], [4]]
    states, mask, ids = padded(texts, [random.normal(size=(len(text), H)) for text in texts], "right")
    states.requires_grad_()
    module(states, mask, ids).square().sum().backward()
    reached = states.grad.abs().sum(dim=-1) > 0
    assert not (reached & ~mask.bool()).any()
    assert reached.any(dim=1).all()
    if kind in ("mean", "weighted", "attention"):
        assert torch.equal(reached, mask.bool())


def test_the_query_of_attention_starts_as_the_mean_and_learns() -> None:
    attention, states = TokenPooling("attention", V, H), torch.randn(2, 4, H)
    mask, ids = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]]), torch.zeros(2, 4, dtype=torch.int64)
    found = attention(states, mask, ids)
    torch.testing.assert_close(found, TokenPooling("mean", V, H)(states, mask, ids))
    found.square().sum().backward()
    assert attention.query.grad.abs().min() > 0


def test_before_tokens_are_counted_all_weigh_alike() -> None:
    states, mask, ids = torch.randn(1, 4, H), torch.ones(1, 4), torch.tensor([[0, 1, 2, 3]])
    torch.testing.assert_close(TokenPooling("weighted", V, H)(states, mask, ids), states.mean(dim=1))


@pytest.mark.parametrize("kind", KINDS)
def test_a_text_without_tokens_gives_numbers(kind: str) -> None:
    found = pooling(kind)(torch.randn(1, 2, H), torch.zeros(1, 2), torch.zeros(1, 2, dtype=torch.int64))
    assert torch.isfinite(found).all()


@pytest.mark.parametrize("kind", KINDS)
def test_half_precision_stays_what_it_is(kind: str) -> None:
    states = torch.randn(1, 3, H, dtype=torch.bfloat16)
    found = pooling(kind)(states, torch.ones(1, 3), torch.tensor([[1, 2, 3]]))
    assert found.dtype == torch.bfloat16
