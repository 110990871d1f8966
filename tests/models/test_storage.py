"""A token embedding that is kept smaller: what it gives, what it takes, and that it comes back from the files."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from transformers import PreTrainedModel

import embfact
from embfact.embeddings.base import TokenEmbedding
from embfact.embeddings.layout import FLOAT32, Storage
from embfact.embeddings.rows import Rows
from embfact.errors import ModelError
from embfact.factorization.albert import Albert
from embfact.factorization.base import Evidence, Method
from embfact.factorization.group_svd import GroupSVD
from embfact.factorization.hybrid_svd import HybridSVD
from embfact.factorization.none import Dense
from embfact.factorization.svd import SVD
from embfact.models.checkpoint import WEIGHTS, load, save
from embfact.models.compress import compress, embedding_tensors
from embfact.models.size import model_size, saved_bytes
from embfact.models.storage import imitate, store
from tests.helpers.storages import STORED

V, H, RANK = 60, 16, 5
COUNTS = Evidence(token_counts=torch.arange(1.0, V + 1, dtype=torch.float64))
METHODS: dict[str, Method] = {
    "none": Dense(),
    "svd": SVD(),
    "hybrid_svd": HybridSVD(exact_rows=7),
    "group_svd": GroupSVD(groups=2),
    "albert": Albert(),
}
each_method = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
each_stored = pytest.mark.parametrize("storage", STORED, ids=str)


@pytest.fixture
def compressed(make_model: Callable[..., PreTrainedModel]) -> Callable[..., PreTrainedModel]:
    """A tiny encoder whose table is made smaller by a method."""

    def make(method: Method, kind: str = "bert", **changes: Any) -> PreTrainedModel:
        model = make_model(kind, **changes)
        compress(model, method, RANK if method.uses_rank else None, evidence=COUNTS)
        return model

    return make


def tables(model: PreTrainedModel) -> list[Rows]:
    return [module for module in model.modules() if isinstance(module, Rows)]


@each_method
@each_stored
def test_a_stored_model_comes_back_with_the_size_that_its_method_says(
    method: Method,
    storage: Storage,
    compressed: Callable[..., PreTrainedModel],
    make_tokenizer: Callable[[], Any],
    logits_of: Callable[[PreTrainedModel], torch.Tensor],
    tmp_path: Path,
) -> None:
    model = compressed(method)
    dense = logits_of(model)
    store(model, storage)
    save(model, make_tokenizer(), tmp_path / "saved")
    again, _ = load(tmp_path / "saved")

    torch.testing.assert_close(logits_of(again), logits_of(model), atol=1e-6, rtol=0)
    assert not torch.equal(logits_of(again), dense)
    torch.testing.assert_close(logits_of(again), dense, atol=0.1, rtol=0)
    names = embedding_tensors(again)
    assert names == embedding_tensors(model)
    # The parts of group_svd depend on the counts; its layout is the most that they can take.
    expected, found = method.size(V, H, RANK, storage), model_size(again, names)
    assert saved_bytes(tmp_path / "saved" / WEIGHTS, names) == found.bytes
    assert found == expected or (method.name == "group_svd" and found.bytes <= expected.bytes)
    assert again.config.embfact == model.config.embfact


@each_method
def test_float32_changes_nothing(
    method: Method, compressed: Callable[..., PreTrainedModel], logits_of: Callable[[PreTrainedModel], torch.Tensor]
) -> None:
    model = compressed(method)
    before, blueprint = logits_of(model), copy.deepcopy(model.config.embfact)
    store(model, Storage("float32"))
    assert torch.equal(logits_of(model), before)
    assert model.config.embfact == blueprint
    assert all(parameter.requires_grad for parameter in model.parameters())


@each_method
@each_stored
def test_imitating_a_storage_gives_what_storing_will_give(
    method: Method,
    storage: Storage,
    compressed: Callable[..., PreTrainedModel],
    logits_of: Callable[[PreTrainedModel], torch.Tensor],
) -> None:
    model = compressed(method)
    plain = logits_of(model)
    imitate(model, storage)
    imitated = logits_of(model)
    assert not torch.equal(imitated, plain)
    imitate(model, None)
    assert torch.equal(logits_of(model), plain)
    imitate(model, storage)
    store(model, storage)
    torch.testing.assert_close(logits_of(model), imitated, atol=1e-6, rtol=1e-5)
    assert {rows.aware for rows in tables(model)} == {None}


@each_stored
def test_gradients_are_taken_at_the_rounded_weights_and_reach_the_weights_unchanged(
    storage: Storage, compressed: Callable[..., PreTrainedModel]
) -> None:
    model, ids = compressed(SVD()), torch.tensor([[2, 10, 11, 3]])
    rounded = copy.deepcopy(model)
    for rows in tables(rounded):
        other = copy.deepcopy(rows)
        other.store(storage)
        rows.weight.data.copy_(other.matrix())
    imitate(model, storage)
    for one in (model, rounded):
        one(ids).logits.square().sum().backward()
    for mine, expected in zip(tables(model), tables(rounded), strict=True):
        assert mine.weight.grad.abs().max() > 0
        torch.testing.assert_close(mine.weight.grad, expected.weight.grad, atol=1e-6, rtol=1e-4)


def test_only_tables_and_factors_are_stored(compressed: Callable[..., PreTrainedModel]) -> None:
    model = compressed(Albert())
    store(model, Storage("int8"))
    block = model.bert.embeddings
    assert isinstance(block.word_embeddings, TokenEmbedding)
    assert block.word_embeddings.padding_idx == 0
    assert type(block.projection) is nn.Linear
    assert block.projection.weight.dtype == torch.float32
    kept = {name: tensor.dtype for name, tensor in model.state_dict().items() if "word_embeddings" in name}
    assert sorted(map(str, kept.values())) == ["torch.float16", "torch.uint8", "torch.uint8"]


def test_a_table_that_an_adapter_left_still_trains_with_its_padding_row_fixed(
    compressed: Callable[..., PreTrainedModel],
) -> None:
    model = compressed(Albert())
    before = model.state_dict()
    imitate(model, Storage("int4"))
    after = model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    model(torch.tensor([[2, 10, 0, 0]])).logits.sum().backward()
    gradient = model.get_input_embeddings().weight.grad
    assert gradient[10].abs().max() > 0
    assert gradient[0].abs().max() == 0


@pytest.mark.parametrize("kind", ["roberta", "distilbert", "mpnet"])
def test_other_encoders_come_back_too(
    kind: str,
    compressed: Callable[..., PreTrainedModel],
    make_tokenizer: Callable[[], Any],
    logits_of: Callable[[PreTrainedModel], torch.Tensor],
    tmp_path: Path,
) -> None:
    for method in (Dense(), SVD(), Albert()):
        model = compressed(method, kind)
        store(model, Storage("int4"))
        save(model, make_tokenizer(), tmp_path / method.name)
        again, _ = load(tmp_path / method.name)
        torch.testing.assert_close(logits_of(again), logits_of(model), atol=1e-6, rtol=0)


# What embfact at commit 7cb9edb saved of a small BERT: a float32 scale for each row, symmetric codes, no groups.
BEFORE_GROUPS = Path(__file__).parent / "stored_before_groups"


@pytest.mark.parametrize(("name", "form"), [("svd_int4", "int4"), ("none_int8", "int8"), ("albert_int4", "int4")])
def test_a_checkpoint_from_before_groups_gives_the_numbers_that_it_gave(name: str, form: str, tmp_path: Path) -> None:
    expected = load_file(BEFORE_GROUPS / f"{name}.expected.safetensors")
    ids = torch.arange(31)
    model = embfact.from_pretrained(BEFORE_GROUPS / name)
    with torch.no_grad():
        assert torch.equal(model.get_input_embeddings()(ids), expected["vectors"])
        torch.testing.assert_close(model(ids[:8].unsqueeze(0)).logits, expected["logits"], atol=1e-6, rtol=0)
    found = embfact.summary(model)
    assert (found.storage, found.storage_group) == (form, None)
    before = load_file(BEFORE_GROUPS / name / WEIGHTS)
    assert found.model.bytes == sum(tensor.nbytes for tensor in before.values())

    embfact.save_pretrained(model, tmp_path / "again")
    after = load_file(tmp_path / "again" / WEIGHTS)
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)
    again = embfact.from_pretrained(tmp_path / "again")
    assert torch.equal(again.get_input_embeddings()(ids), expected["vectors"])


def test_rows_from_before_groups_are_read_and_not_written(compressed: Callable[..., PreTrainedModel]) -> None:
    model = compressed(SVD())
    with pytest.raises(ModelError, match="storage_group"):
        store(model, Storage("int8", None))
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_a_model_of_which_a_table_cannot_be_stored_stays_as_it_was(compressed: Callable[..., PreTrainedModel]) -> None:
    model = compressed(SVD())
    tables(model)[-1].weight.data[0, 0] = 1e8
    with pytest.raises(ModelError, match="int8 cannot hold numbers above"):
        store(model, Storage("int8"))
    assert {rows.storage for rows in tables(model)} == {FLOAT32}


def test_a_model_that_is_not_compressed_is_refused_in_words(make_model: Callable[..., PreTrainedModel]) -> None:
    model = make_model("bert")
    for change in (lambda: store(model, Storage("int8")), lambda: imitate(model, Storage("int8"))):
        with pytest.raises(ModelError, match=r" Embedding .*; compress the model first"):
            change()


def test_what_is_stored_already_is_refused_in_words(compressed: Callable[..., PreTrainedModel]) -> None:
    model = compressed(SVD())
    store(model, Storage("int8"))
    with pytest.raises(ModelError, match="stored as int8-g64 already; start from the trained model"):
        store(model, Storage("int4"))


def test_weights_that_float16_cannot_hold_are_refused_in_words(compressed: Callable[..., PreTrainedModel]) -> None:
    model = compressed(Dense())
    model.get_input_embeddings().weight.data[3, 2] = 1e5
    with pytest.raises(ModelError, match="float16 cannot hold numbers above 65504"):
        store(model, Storage("float16"))


def test_a_damaged_storage_in_the_blueprint_is_refused_in_words(
    compressed: Callable[..., PreTrainedModel], make_tokenizer: Callable[[], Any], tmp_path: Path
) -> None:
    model = compressed(Albert())
    store(model, Storage("int8"))
    save(model, make_tokenizer(), tmp_path / "saved")
    path = tmp_path / "saved" / "config.json"
    path.write_text(path.read_text().replace('"storage": "int8"', '"storage": "int5"'))
    with pytest.raises(ModelError, match=r"blueprint in config.json is damaged .*int5"):
        load(tmp_path / "saved")
    path.write_text(path.read_text().replace('"storage": "int5"', '"storage": "int8"').replace(": 64", ": 63"))
    with pytest.raises(ModelError, match=r"blueprint in config.json is damaged .*63"):
        load(tmp_path / "saved")
