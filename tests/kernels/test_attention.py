"""Attention in parts is the attention that is written down, with the mask that its seed gives."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from embfact.kernels import attention
from embfact.kernels.dropout import keep_mask


@pytest.mark.parametrize("scores", [1, 200, 1 << 20])
def test_attention_with_dropout_is_softmax_times_a_mask_in_parts_of_any_size(monkeypatch, scores: int) -> None:
    monkeypatch.setattr(attention, "SCORES_AT_ONCE", scores)
    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(4, 2, 7, 8, generator=generator, requires_grad=True) for _ in range(3))
    mask = torch.ones(4, 1, 7, 7, dtype=torch.bool)
    mask[1, :, :, 4:] = False
    p = 0.25

    torch.manual_seed(3)
    found, _ = attention.attend(nn.Identity(), query, key, value, mask, dropout=p, scaling=0.3)
    gradients = torch.autograd.grad(found.square().sum(), (query, key, value))

    torch.manual_seed(3)
    whole = max(1, scores // (2 * 7 * 7))
    stay = torch.cat([keep_mask((len(part), 2, 7, 7), p)[0] for part in torch.arange(4).split(whole)])
    weights = (query @ key.transpose(2, 3) * 0.3 + torch.where(mask, 0.0, -torch.inf)).softmax(-1)
    expected = ((weights * stay / (1 - p)) @ value).transpose(1, 2)
    torch.testing.assert_close(found, expected)
    for ours, theirs in zip(gradients, torch.autograd.grad(expected.square().sum(), (query, key, value)), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_causal_attention_and_fewer_keys_are_left_to_transformers() -> None:
    query, key = torch.randn(2, 4, 5, 8), torch.randn(2, 4, 5, 8)
    causal = nn.Identity()
    causal.is_causal = True
    torch.manual_seed(0)
    found, _ = attention.attend(causal, query, key, key, None, dropout=1e-9, scaling=1.0)
    expected = nn.functional.scaled_dot_product_attention(query, key, key, is_causal=True, scale=1.0)
    torch.testing.assert_close(found, expected.transpose(1, 2))
