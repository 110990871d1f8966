"""A hidden layer beside the factors: its rows by numpy, and its scores block by block."""

import numpy as np
import pytest
import torch

from embfact.embeddings.decoder import DecoderEmbedding
from tests.embeddings.examples import EXAMPLES, numbers


def test_rows_are_those_of_the_formula():
    module = EXAMPLES["decoder"]()
    a, b, p, q = (
        rows.matrix().detach().numpy() for rows in (module.factors, module.projection, module.inner, module.outer)
    )
    bias = module.bias.detach().numpy()
    np.testing.assert_allclose(module.dense().numpy(), a @ b + np.tanh(a @ p + bias) @ q, atol=1e-12)


@pytest.mark.parametrize("block", [4, 13, 100])
def test_scores_of_several_blocks_stand_in_order(block, monkeypatch):
    monkeypatch.setattr("embfact.embeddings.base.BLOCK_TOKENS", block)
    module, hidden = EXAMPLES["decoder"](), numbers(2, 5, 6, seed=9)
    torch.testing.assert_close(module.logits(hidden), hidden @ module.dense().T)


def test_the_padding_row_gets_no_gradient_and_the_decoder_does():
    module = DecoderEmbedding(13, 6, rank=3, hidden_units=5, padding_idx=-2).double()
    for seed, weight in enumerate(module.parameters()):
        weight.data = numbers(*weight.shape, seed=seed)
    module(torch.tensor([4, 11])).sum().backward()
    assert module.padding_idx == 11
    assert module.factors.weight.grad[4].any()
    assert not module.factors.weight.grad[11].any()
    decoder = {name for name, weight in module.named_parameters() if weight.shape[0] != 13}
    assert len(module.projection_parameters()) == len(decoder) == 4
    assert all(weight.grad.any() for weight in module.projection_parameters())
