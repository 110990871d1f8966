"""With cheaper kernels a model computes what it did, and is the same model afterwards."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification

from embfact.kernels import first_token
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


def test_a_model_may_be_scored_within_its_training() -> None:
    model, inputs = classifier("bert", 0.1), batch()
    model.eval()
    expected = model(**inputs).logits
    with for_training(model, CPU):
        with for_inference(model, CPU):
            torch.testing.assert_close(model(**inputs).logits, expected, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(model(**inputs).logits, expected, rtol=1e-5, atol=1e-6)
    assert not any("forward" in vars(module) for module in model.modules())


def test_attention_that_was_asked_for_stays() -> None:
    model = classifier("bert", 0.1)
    with for_training(model, CPU, attend=False):
        assert model.config._attn_implementation == "sdpa"
    with for_training(model, CPU):
        assert model.config._attn_implementation == "embfact"
