"""Any backbone gets a pooled head that trains, is saved, and comes back the same."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import get_args

import pytest
import torch
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification, PreTrainedModel

from embfact.config.sections import ModelConfig, Pooling
from embfact.errors import ModelError
from embfact.factorization.svd import SVD
from embfact.kernels import first_token
from embfact.kernels.swap import for_inference, for_training
from embfact.models.checkpoint import load, load_model, save
from embfact.models.compress import compress, embedding_tensors
from embfact.models.loading import load_backbone
from embfact.models.pooled import PooledForSequenceClassification
from embfact.models.trainable import freeze
from tests.helpers.zoo import CONFIGS, IDS, PADDING, V

MASK = (IDS != PADDING).long()
OPTIONS = {"num_labels": 3, "label_names": ("a", "b", "c"), "dropout": None, "seed": 0}
SPECIAL = {"pad_token_id": PADDING, "bos_token_id": 2, "eos_token_id": 3, "decoder_start_token_id": PADDING}


def classifier(backbone: str, pooling: str = "mean", num_labels: int = 3) -> PooledForSequenceClassification:
    model_type, options = CONFIGS[backbone]
    config = AutoConfig.for_model(model_type, **({"vocab_size": V} | SPECIAL | options), num_labels=num_labels)
    config.embfact_pooling, config.initializer_range = pooling, 0.3
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return PooledForSequenceClassification(config).eval()


def logits(model: PreTrainedModel) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(input_ids=IDS, attention_mask=MASK).logits


@pytest.mark.parametrize("backbone", CONFIGS)
def test_the_head_reads_the_mean_of_what_the_body_gives(backbone: str) -> None:
    model = classifier(backbone)
    with torch.no_grad():
        states = model.base_model(input_ids=IDS, attention_mask=MASK)[0]
    means = torch.stack([row[mask.bool()].mean(dim=0) for row, mask in zip(states, MASK, strict=True)])
    torch.testing.assert_close(logits(model), means @ model.pooled_head.weight.T + model.pooled_head.bias)


@pytest.mark.parametrize("backbone", CONFIGS)
def test_it_is_compressed_saved_and_loaded_again(backbone: str, tmp_path: Path) -> None:
    model = classifier(backbone, "attention")
    model.pooling.query.data.normal_(generator=torch.Generator().manual_seed(1))
    dense = {name: tensor.shape for name, tensor in model.state_dict().items()}
    compress(model, SVD(refactorize_existing=True), rank=3)
    assert embedding_tensors(model)
    assert {"pooling.query", "pooled_head.weight", "pooled_head.bias"} <= dense.keys()
    save(model, None, tmp_path / "saved")
    loaded = load_model(tmp_path / "saved")
    assert type(loaded) is PooledForSequenceClassification
    torch.testing.assert_close(logits(loaded), logits(model), atol=1e-6, rtol=0)  # a file lies otherwise in memory


@pytest.mark.parametrize("pooling", get_args(Pooling))
def test_every_pooling_comes_back_from_its_files(pooling: str, backbone, tmp_path: Path) -> None:
    model, tokenizer = load_backbone(backbone("bert"), **OPTIONS, pooling=pooling)
    if pooling == "weighted":
        model.pooling.count(torch.arange(60).numpy())
    save(model, tokenizer, tmp_path / "saved")
    loaded, _ = load(tmp_path / "saved")
    assert loaded.pooling.kind == pooling
    assert torch.equal(logits(loaded), logits(model))


def test_the_body_has_the_weights_of_its_file_and_no_pooler(backbone, kind: str) -> None:
    config = backbone(kind)
    model, _ = load_backbone(config, **OPTIONS, pooling="mean")
    whole, _ = load_backbone(config, **OPTIONS)
    expected = {name: w for name, w in whole.base_model.state_dict().items() if "pooler" not in name}
    assert model.base_model.state_dict().keys() == expected.keys()
    for name, weight in model.base_model.state_dict().items():
        assert torch.equal(weight, expected[name]), name
    assert model.training
    assert model.base_model_prefix == whole.base_model_prefix


def test_the_head_depends_on_the_seed_alone(backbone, kind: str) -> None:
    config = backbone(kind)

    def head(seed: int) -> torch.Tensor:
        return load_backbone(config, **(OPTIONS | {"seed": seed}), pooling="max")[0].pooled_head.weight

    first = head(0)
    torch.rand(3)
    assert torch.equal(head(0), first)
    assert not torch.equal(head(1), first)


def test_dropout_that_is_asked_for_acts_before_the_head_too(backbone) -> None:
    model, _ = load_backbone(backbone(), **(OPTIONS | {"dropout": 0.25}), pooling="mean")
    assert {module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)} == {0.25}


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_cheaper_kernels_change_nothing_and_no_token_is_left_out(pooling: str) -> None:
    model = classifier("bert", pooling)
    assert first_token.last_layer(model) is None
    expected = logits(model)
    with for_training(model, torch.device("cpu")):
        assert model.config._attn_implementation == "embfact"
        torch.testing.assert_close(logits(model), expected)
    assert model.config._attn_implementation == "sdpa"
    with for_inference(model, torch.device("cpu")):
        torch.testing.assert_close(logits(model), expected)


def test_only_the_embedding_and_the_head_are_trained_where_that_is_asked_for() -> None:
    model = classifier("bert", "attention")
    freeze(model, "factors")
    trained = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert trained == {
        "bert.embeddings.word_embeddings.weight",
        "pooling.query",
        "pooled_head.weight",
        "pooled_head.bias",
    }


@pytest.mark.parametrize("rank", [None, 3], ids=["dense", "svd"])
def test_the_auto_classes_give_the_pooled_head_or_the_body(rank: int | None, tmp_path: Path, monkeypatch) -> None:
    for module in ("transformers.dynamic_module_utils", "transformers.utils.hub"):
        monkeypatch.setattr(f"{module}.HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.setattr(sys, "path", [*sys.path])
    model = classifier("bert", "last")
    if rank:
        compress(model, SVD(), rank)
    save(model, None, tmp_path / "saved")
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path / "saved", trust_remote_code=True)
    assert type(loaded) is PooledForSequenceClassification
    assert torch.equal(logits(loaded), logits(model))
    body = AutoModel.from_pretrained(tmp_path / "saved", trust_remote_code=True)
    with torch.no_grad():
        states = [part.eval()(input_ids=IDS, attention_mask=MASK)[0] for part in (body, model.base_model)]
    torch.testing.assert_close(*states)


def test_a_run_is_gone_on_with_as_it_pools_and_no_other_way(backbone, tmp_path: Path) -> None:
    config = backbone("bert")
    model, tokenizer = load_backbone(config, **OPTIONS, pooling="attention")
    model.pooling.query.data.fill_(0.5)
    save(model, tokenizer, tmp_path / "run" / "checkpoint")
    start = ModelConfig(name_or_path=config.name_or_path, from_run=str(tmp_path / "run"))
    again, _ = load_backbone(start, **(OPTIONS | {"seed": 7}), pooling="attention")
    for name, tensor in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name
    for other in (None, "mean"):
        with pytest.raises(ModelError, match=r"trained with task\.pooling=attention"):
            load_backbone(start, **OPTIONS, pooling=other)
