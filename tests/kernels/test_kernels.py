"""Cheaper kernels compute what torch and transformers do; only the random numbers differ, not how they are spread."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from torch import nn
from transformers import AutoConfig, AutoModelForSequenceClassification

from embfact.kernels import attention, first_token, linear
from embfact.kernels.dropout import dropout, keep_mask
from embfact.kernels.swap import for_inference, for_training

CPU = torch.device("cpu")
KINDS = ["bert", "roberta", "electra", "distilbert", "albert"]
SMALL = {"vocab_size": 60, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}


def classifier(kind: str, dropout_probability: float = 0.0):
    torch.manual_seed(0)
    names = {"hidden_dropout_prob": dropout_probability, "attention_probs_dropout_prob": dropout_probability}
    if kind == "distilbert":
        sizes = {"vocab_size": 60, "dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 24}
        names = {"dropout": dropout_probability, "attention_dropout": dropout_probability, "seq_classif_dropout": 0.0}
    else:
        sizes = SMALL
    extra = {"embedding_size": 8} if kind in ("electra", "albert") else {}
    extra |= {"classifier_dropout_prob": dropout_probability} if kind == "albert" else {}
    config = AutoConfig.for_model(kind, **sizes, **names, **extra, num_labels=3, pad_token_id=1)
    return AutoModelForSequenceClassification.from_config(config).train()


def batch(rows: int = 5, width: int = 9, padded: bool = True) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(2, 60, (rows, width), generator=generator)
    mask = torch.ones_like(ids)
    if padded:
        for row in range(rows):
            mask[row, width - row :] = 0
    return {"input_ids": torch.where(mask.bool(), ids, 1), "attention_mask": mask}


def logits_and_gradients(model, inputs):
    model.zero_grad()
    logits = model(**inputs).logits
    logits.square().sum().backward()
    return logits.detach(), {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_without_dropout_a_step_is_what_it_was(kind: str, padded: bool) -> None:
    model, inputs = classifier(kind), batch(padded=padded)
    expected, gradients = logits_and_gradients(model, inputs)
    with for_training(model, CPU):
        found, cheaper = logits_and_gradients(model, inputs)

    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    assert gradients.keys() == cheaper.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(cheaper[name], gradient, rtol=1e-4, atol=1e-5, msg=name)


@pytest.mark.parametrize("kind", KINDS)
def test_scores_are_what_they_were(kind: str) -> None:
    model, inputs = classifier(kind, 0.3).eval(), batch()
    with torch.inference_mode():
        expected = model(**inputs).logits
        with for_inference(model, CPU):
            found = model(**inputs).logits
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_afterwards_the_model_is_what_it_was(kind: str) -> None:
    model, inputs = classifier(kind, 0.1), batch()
    usual, weights = model.config._attn_implementation, copy.deepcopy(model.state_dict())

    def fails() -> None:
        with for_training(model, CPU):
            assert model.state_dict().keys() == weights.keys()
            model(**inputs)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert model.config._attn_implementation == usual
    assert not any("forward" in vars(module) for module in model.modules())
    pickle.loads(pickle.dumps(model))


@pytest.mark.parametrize("kind", ["bert", "roberta", "electra"])
def test_the_last_layer_of_berts_kin_is_computed_for_the_first_token_alone(kind: str) -> None:
    model, seen = classifier(kind).eval(), []
    model.base_model.encoder.layer[-1].output.register_forward_hook(lambda *call: seen.append(call[2].shape))
    with for_inference(model, CPU):
        model(**batch())
    model(**batch())
    assert seen == [(5, 1, 16), (5, 9, 16)]


@pytest.mark.parametrize("kind", ["distilbert", "albert"])
def test_other_models_have_all_tokens_computed(kind: str) -> None:
    assert first_token.last_layer(classifier(kind)) is None


def test_attention_of_an_implementation_without_masks_by_query_is_left_alone() -> None:
    model = classifier("bert")
    model.set_attn_implementation("eager")
    assert first_token.last_layer(model) is None
    with for_training(model, CPU):
        assert model.config._attn_implementation == "eager"


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
