"""Models that were changed after they were built: measured, compressed and saved right, or refused in words."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import prune
from transformers import AutoConfig, AutoModel, BertConfig, EncoderDecoderConfig, EncoderDecoderModel

import embfact
from tests.helpers.zoo import IDS, H, Specimen, V, output

BERT = Specimen("bert", "BertForSequenceClassification")
LLAMA = Specimen("llama", "LlamaForCausalLM", tied=True, options={"tie_word_embeddings": True})
LAYER = "bert.encoder.layer.0.output.dense"


def compressed(specimen: Specimen = BERT) -> Any:
    return embfact.compress(specimen.build(), "svd", rank=3)


def quantized(model: Any, kind: type[nn.Module] = nn.Linear) -> Any:
    """As users still do it: torch.ao's dynamic quantization of all linear layers, or of the table."""
    qconfig = torch.ao.quantization
    how = {kind} if kind is nn.Linear else {kind: qconfig.float_qparams_weight_only_qconfig}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return qconfig.quantize_dynamic(model, how, dtype=torch.qint8 if kind is nn.Linear else torch.quint8)


class Codes(torch.Tensor):
    """A tensor class of its own, as those of bitsandbytes and torchao are."""


class Adapted(nn.Module):
    """A layer with a low-rank adapter beside it, as PEFT puts it into a model."""

    def __init__(self, layer: nn.Linear):
        super().__init__()
        self.base_layer = layer
        self.lora_A = nn.Linear(layer.in_features, 2, bias=False)
        self.lora_B = nn.Linear(2, layer.out_features, bias=False)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        return self.base_layer(states) + self.lora_B(self.lora_A(states))


def _own_tensors(model: Any) -> Any:
    layer = model.get_submodule(LAYER)
    layer.weight = nn.Parameter(layer.weight.detach().as_subclass(Codes), requires_grad=False)
    return model


def _integers(model: Any) -> Any:
    layer = model.get_submodule(LAYER)
    layer.weight = nn.Parameter((layer.weight * 100).to(torch.int8), requires_grad=False)
    return model


def _pruned(model: Any) -> Any:
    prune.l1_unstructured(model.get_submodule(LAYER), "weight", 0.3)
    return model


def _adapted(model: Any) -> Any:
    owner = model.get_submodule(LAYER.rpartition(".")[0])
    owner.dense = Adapted(owner.dense)
    return model


def _another_head(model: Any) -> Any:
    model.classifier = nn.Sequential(nn.Linear(H, H), nn.Linear(H, 2))
    return model


def _partly_elsewhere(model: Any) -> Any:
    model.classifier.to("meta")
    return model


CHANGES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "quantize_dynamic": (quantized, r"layer\.0\..* is not a tensor .*quantize_dynamic; .*save the model before"),
    "tensors of another class": (_own_tensors, rf"{LAYER}\.weight .* is of the class Codes.*save the model before"),
    "integers": (_integers, rf"{LAYER}\.weight .*before it was quantized"),
    "pruned": (_pruned, rf"{LAYER}\.weight_orig .*before it was .*pruned"),
    "adapters": (_adapted, rf"{LAYER}\.base_layer\.weight .*adapters can be merged"),
    "another head": (_another_head, r"classifier\.0\.weight"),
    "partly on the meta device": (_partly_elsewhere, "on the meta device and has no values; load its weights first"),
}


@pytest.mark.parametrize("make", [compressed, BERT.build], ids=["compressed", "dense"])
@pytest.mark.parametrize("change", CHANGES)
def test_what_could_not_be_loaded_again_is_not_saved(change: str, make: Callable[[], Any], tmp_path: Path) -> None:
    spoil, words = CHANGES[change]
    model = spoil(make())
    with pytest.raises(ValueError, match=words):
        embfact.save_pretrained(model, tmp_path / "saved")
    assert list(tmp_path.iterdir()) == []


def test_it_works_once_the_adapter_is_merged(tmp_path: Path) -> None:
    model = _adapted(compressed())
    owner = model.get_submodule(LAYER.rpartition(".")[0])
    with torch.no_grad():
        owner.dense.base_layer.weight += owner.dense.lora_B.weight @ owner.dense.lora_A.weight
    expected = output(model)
    owner.dense = owner.dense.base_layer
    embfact.save_pretrained(model, tmp_path / "saved")
    loaded = embfact.from_pretrained(tmp_path / "saved")
    assert torch.equal(output(loaded), output(model))
    assert not torch.equal(output(loaded), expected - 1)


@pytest.mark.parametrize("make", [compressed, BERT.build], ids=["compressed", "dense"])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (quantized, r"not a tensor .*measure and save the model before"),
        (_own_tensors, "of the class Codes.*before quantizing"),
    ],
)
def test_sizes_that_cannot_be_told_are_refused(change: Any, words: str, make: Callable[[], Any]) -> None:
    with pytest.raises(ValueError, match=words):
        embfact.summary(change(make()))


def test_a_table_that_is_quantized_is_refused_everywhere(tmp_path: Path) -> None:
    model = quantized(BERT.build(), nn.Embedding)
    with pytest.raises(ValueError, match=r"only a torch\.nn\.Embedding can be replaced"):
        embfact.compress(model, "svd", rank=3)
    for call in (embfact.summary, lambda model: embfact.save_pretrained(model, tmp_path / "saved")):
        with pytest.raises(ValueError, match=r"word_embeddings\..* is not a tensor"):
            call(model)
    assert list(tmp_path.iterdir()) == []


def test_the_table_of_a_model_with_quantized_layers_is_compressed_all_the_same() -> None:
    model = quantized(BERT.build())
    expected = output(quantized(compressed()))
    torch.testing.assert_close(output(embfact.compress(model, "svd", rank=3)), expected, atol=1e-5, rtol=0)


WRAPPERS: dict[str, Callable[[nn.Module], Any]] = {
    "compiled": torch.compile,
    "DataParallel": nn.DataParallel,
    "both": lambda model: nn.DataParallel(torch.compile(model)),
}


@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
def test_a_wrapped_model_is_compressed_measured_and_saved(wrap: Callable[[nn.Module], Any], tmp_path: Path) -> None:
    model, expected = BERT.build(), compressed()
    wrapped = wrap(model)
    assert embfact.compress(wrapped, "svd", rank=3) is wrapped
    assert embfact.summary(wrapped) == embfact.summary(expected)
    embfact.save_pretrained(wrapped, tmp_path / "saved")
    model.save_pretrained(tmp_path / "own")
    for directory in ("saved", "own"):
        assert torch.equal(output(embfact.from_pretrained(tmp_path / directory)), output(expected))


def test_a_wrapper_of_another_kind_is_refused_in_words(tmp_path: Path) -> None:
    class Wrapper(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = compressed()

    for call in (embfact.summary, lambda model: embfact.save_pretrained(model, tmp_path / "saved")):
        with pytest.raises(ValueError, match="found a Wrapper"):
            call(Wrapper())


@pytest.mark.parametrize("specimen", [BERT, LLAMA], ids=str)
def test_a_model_without_values_has_its_sizes(specimen: Specimen) -> None:
    small = compressed(specimen)
    expected = embfact.summary(small)
    assert embfact.summary(small.to("meta")) == expected
    with torch.device("meta"):
        dense = specimen.build()
    assert embfact.summary(dense) == embfact.summary(specimen.build())
    assert embfact.summary(dense).embedding.parameters == V * H


def test_a_backbone_without_a_pooler_comes_back_without_one(tmp_path: Path) -> None:
    model = compressed(Specimen("bert", "BertForMaskedLM")).bert
    embfact.save_pretrained(model, tmp_path / "saved")
    loaded = embfact.from_pretrained(tmp_path / "saved")
    assert loaded.pooler is None
    assert torch.equal(output(loaded), output(model))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("part", ["all", "embedding", "rest"])
def test_dtypes_stay_as_they_are(part: str, dtype: torch.dtype, tmp_path: Path) -> None:
    model = compressed()
    if part == "all":
        model.to(dtype)
    elif part == "embedding":
        model.get_input_embeddings().to(dtype)
    else:
        model.bert.encoder.to(dtype)
        model.classifier.to(dtype)
    embfact.save_pretrained(model, tmp_path / "saved")
    model.save_pretrained(tmp_path / "own")
    for directory in ("saved", "own"):
        loaded = embfact.from_pretrained(tmp_path / directory).state_dict()
        assert {name: (t.dtype, t.tolist()) for name, t in loaded.items()} == {
            name: (t.dtype, t.tolist()) for name, t in model.state_dict().items()
        }


def test_a_model_without_a_token_table_is_refused_in_words(tmp_path: Path) -> None:
    image = {"hidden_size": H, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    for kind, sizes in (("resnet", {"depths": [1, 1], "hidden_sizes": [4, 8], "embedding_size": 4}), ("vit", image)):
        model = AutoModel.from_config(AutoConfig.for_model(kind, **sizes))
        calls = (
            lambda model: embfact.compress(model, "svd", rank=3),
            embfact.summary,
            lambda model: embfact.save_pretrained(model, tmp_path / "saved"),
        )
        for call in calls:
            with pytest.raises(ValueError, match=f"this {kind} .*(reads token ids|a plain token table)"):
                call(model)


def test_two_models_in_one_are_compressed_and_saved(tmp_path: Path) -> None:
    sizes = {"vocab_size": V, "hidden_size": H, "num_hidden_layers": 1, "num_attention_heads": 2}
    both = [BertConfig(**sizes, intermediate_size=8), BertConfig(**sizes, intermediate_size=8, is_decoder=True)]
    both[1].add_cross_attention = True
    model = EncoderDecoderModel(EncoderDecoderConfig.from_encoder_decoder_configs(*both)).eval()
    embfact.compress(model, "svd", rank=3)
    for name, save in {"own": model.save_pretrained, "ours": lambda d: embfact.save_pretrained(model, d)}.items():
        save(tmp_path / name)
        with pytest.raises(ValueError, match=r"embfact\.from_pretrained"):
            EncoderDecoderModel.from_pretrained(tmp_path / name)
        loaded, ids = embfact.from_pretrained(tmp_path / name), {"input_ids": IDS, "decoder_input_ids": IDS}
        assert torch.equal(loaded(**ids).logits, model(**ids).logits)
