from __future__ import annotations

import json

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file
from transformers import AutoConfig

from embfact.config.sections import ModelConfig
from embfact.errors import ModelError
from embfact.models.loading import load_backbone, set_dropout

SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
OPTIONS = {"num_labels": 2, "label_names": ("bad", "good"), "dropout": None, "seed": 0}


def test_the_backbone_has_the_weights_of_its_file(backbone, kind, logits_of):
    config = backbone(kind)
    model, _ = load_backbone(config, **OPTIONS)
    state = model.base_model.state_dict()
    for name, tensor in load_file(f"{config.name_or_path}/model.safetensors").items():
        assert torch.equal(state[name], tensor), name
    assert model.dtype == torch.float32
    assert logits_of(model).shape == (3, 2)


def test_the_head_depends_on_the_seed_alone(backbone, kind, logits_of):
    config = backbone(kind)
    torch.manual_seed(5)
    first = logits_of(load_backbone(config, **OPTIONS)[0])
    torch.rand(3)
    assert torch.equal(logits_of(load_backbone(config, **OPTIONS)[0]), first)
    assert not torch.equal(logits_of(load_backbone(config, **(OPTIONS | {"seed": 1}))[0]), first)


def test_the_callers_random_numbers_go_on_as_if_nothing_had_been_loaded(backbone):
    config = backbone()
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    load_backbone(config, **OPTIONS)
    assert torch.equal(torch.rand(4), expected)


def test_labels_have_their_names_and_a_regression_has_one_output(backbone, logits_of):
    config = backbone()
    assert load_backbone(config, **OPTIONS)[0].config.id2label == {0: "bad", 1: "good"}
    regression, _ = load_backbone(config, num_labels=1, label_names=None, dropout=None, seed=0)
    assert logits_of(regression).shape == (3, 1)


def test_a_head_for_other_classes_is_drawn_anew(tmp_path, make_model, make_tokenizer, logits_of):
    make_model("bert", num_labels=5).save_pretrained(tmp_path)
    make_tokenizer().save_pretrained(tmp_path)
    model, _ = load_backbone(ModelConfig(name_or_path=str(tmp_path)), **OPTIONS)
    assert logits_of(model).shape == (3, 2)


def test_a_float16_checkpoint_is_trained_in_float32(tmp_path, make_model, make_tokenizer):
    make_model("bert").half().save_pretrained(tmp_path)
    make_tokenizer().save_pretrained(tmp_path)
    assert load_backbone(ModelConfig(name_or_path=str(tmp_path)), **OPTIONS)[0].dtype == torch.float32


def test_dropout_acts_in_every_dropout_of_the_model(backbone, kind):
    model, _ = load_backbone(backbone(kind), **(OPTIONS | {"dropout": 0.37}))
    found = [m.p for m in model.modules() if isinstance(m, torch.nn.Dropout)]
    assert set(found) == {0.37}
    assert model.training, "Lightning keeps a model in evaluation mode there, and dropout would do nothing"


def test_dropping_whole_layers_is_another_matter():
    config = AutoConfig.for_model("bart", encoder_layerdrop=0.25)
    set_dropout(config, 0.5)
    assert (config.encoder_layerdrop, config.dropout, config.activation_dropout) == (0.25, 0.5, 0.5)


def test_an_architecture_has_random_weights_by_the_seed_and_a_row_for_every_token(logits_of):
    scratch = ModelConfig(
        name="scratch",
        architecture={"model_type": "bert", **SMALL},
        tokenizer="packaged:minilm",
    )
    first, tokenizer = load_backbone(scratch, **OPTIONS)
    again, _ = load_backbone(scratch, **OPTIONS)
    other, _ = load_backbone(scratch, **(OPTIONS | {"seed": 1}))
    table = first.get_input_embeddings()
    assert table.num_embeddings == len(tokenizer)
    assert table.padding_idx == tokenizer.pad_token_id
    assert torch.equal(logits_of(first), logits_of(again))
    assert not torch.equal(table.weight, other.get_input_embeddings().weight)


def test_loading_says_nothing_on_the_terminal(backbone, capfd):
    config = backbone()
    capfd.readouterr()
    load_backbone(config, **OPTIONS)
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")


@pytest.mark.parametrize(
    ("architecture", "words"),
    [
        ({"model_type": "bertt"}, "did you mean 'bert'"),
        ({"model_type": "bert", "hiden_size": 16}, "did you mean 'hidden_size'"),
        ({"model_type": "bert", "hidden_size": "many"}, "hidden_size"),
        (
            {"model_type": "bert", **SMALL, "vocab_size": 100},
            r"ids up to 30521, .* the 100 rows .* give the table 30522 rows",
        ),
    ],
)
def test_an_architecture_that_cannot_be_built_is_refused_in_words(architecture, words):
    scratch = ModelConfig(name="scratch", architecture=architecture, tokenizer="packaged:minilm")
    with pytest.raises(ModelError, match=words):
        load_backbone(scratch, **OPTIONS)


def test_pickled_weights_are_refused(backbone, tmp_path):
    config = backbone()
    (tmp_path / "bert" / "model.safetensors").rename(tmp_path / "bert" / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"pytorch_model\.bin, a pickle.*convert it to model\.safetensors"):
        load_backbone(config, **OPTIONS)


def test_a_truncated_weights_file_is_refused(backbone, tmp_path):
    config = backbone()
    weights = tmp_path / "bert" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(ModelError, match="model bert cannot be loaded"):
        load_backbone(config, **OPTIONS)


def test_weights_of_another_model_are_refused_rather_than_drawn_at_random(backbone, tmp_path):
    config = backbone()
    path = tmp_path / "bert" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"num_hidden_layers": 3}))
    with pytest.raises(ModelError, match=r"lacks 16 weights of a bert.*bert\.encoder\.layer\.2"):
        load_backbone(config, **OPTIONS)


def test_a_tokenizer_without_padding_is_refused(backbone, tmp_path, make_tokenizer):
    config = backbone()
    tokenizer = make_tokenizer()
    tokenizer.pad_token = None
    tokenizer.save_pretrained(tmp_path / "bert")
    with pytest.raises(ModelError, match="no padding token"):
        load_backbone(config, **OPTIONS)


def test_a_directory_without_tokenizer_is_refused_rather_than_reading_every_word_as_unknown(backbone, kind, tmp_path):
    config = backbone(kind)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / kind / name).unlink()
    with pytest.raises(ModelError, match="tokenizer"):
        load_backbone(config, **OPTIONS)


def test_a_hub_model_that_is_not_here_is_refused_with_the_way_out(monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match=r"set model\.name_or_path to a directory"):
        load_backbone(ModelConfig(name_or_path="nobody/nothing"), **OPTIONS)
