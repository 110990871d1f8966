"""The public functions: what they take, what they give back, and what they say to what cannot be used."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModel, BertForMaskedLM, PreTrainedModel, PreTrainedTokenizerFast

import embfact
from embfact.embeddings.layout import Storage
from embfact.factorization.base import Evidence
from embfact.factorization.svd import SVD
from embfact.factorization.weighted_svd import WeightedSVD
from embfact.models.compress import compress as compress_by
from embfact.models.size import model_size, saved_bytes
from tests.helpers.zoo import H, Specimen, V, output

BERT = Specimen("bert", "BertForSequenceClassification")
MASKED = Specimen("bert", "BertForMaskedLM", tied=True)
LLAMA = Specimen("llama", "LlamaForCausalLM", tied=True, options={"tie_word_embeddings": True})
T5 = Specimen("t5", "T5ForConditionalGeneration", tied=True)
COUNTS = list(range(V))


def state(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


@pytest.fixture
def model() -> PreTrainedModel:
    return BERT.build()


def test_it_gives_back_the_model_that_it_changed(model: PreTrainedModel) -> None:
    assert embfact.compress(model, "svd", rank=3) is model
    assert embfact.summary(model).rank == 3
    expected = BERT.build()
    compress_by(expected, SVD(), 3)
    assert torch.equal(output(model), output(expected))


@pytest.mark.parametrize("kind", [list, tuple, np.array, torch.tensor, lambda v: torch.tensor(v, dtype=torch.float16)])
def test_counts_come_as_any_kind_of_numbers(kind: Callable[..., Any], model: PreTrainedModel) -> None:
    embfact.compress(model, "weighted_svd", rank=3, token_counts=kind(COUNTS), smoothing=0.5)
    expected = BERT.build()
    evidence = Evidence(token_counts=torch.tensor(COUNTS, dtype=torch.float64))
    compress_by(expected, WeightedSVD(smoothing=0.5), 3, evidence=evidence)
    assert torch.equal(output(model), output(expected))


def test_a_method_of_ones_own_is_taken_as_an_object(model: PreTrainedModel) -> None:
    embfact.compress(model, WeightedSVD(smoothing=2), rank=3, token_counts=COUNTS)
    assert embfact.summary(model).method == "weighted_svd"
    with pytest.raises(ValueError, match="already has its options; give smoothing to its class"):
        embfact.compress(BERT.build(), WeightedSVD(), rank=3, token_counts=COUNTS, smoothing=1)


@pytest.mark.parametrize("storage", ["float32", "int8"])
def test_a_budget_is_a_share_of_the_dense_table(storage: Any, model: PreTrainedModel) -> None:
    embfact.compress(model, "svd", budget=0.3, storage=storage)
    found = embfact.summary(model)
    assert 0.2 < found.embedding.bytes / (4 * V * H) <= 0.3
    assert SVD().size(V, H, (found.rank or 0) + 1, Storage(storage)).bytes > 0.3 * 4 * V * H


def test_a_budget_may_be_one_of_parameters(model: PreTrainedModel) -> None:
    embfact.compress(model, "svd", budget=0.4, budget_unit="params", storage="int8")
    assert 0.3 < embfact.summary(model).embedding.parameters / (V * H) <= 0.4


def test_energy_picks_the_smallest_rank_that_retains_it(model: PreTrainedModel) -> None:
    values = torch.linalg.svdvals(model.get_input_embeddings().weight.detach().double()).square()
    shares = values.cumsum(0) / values.sum()
    embfact.compress(model, "svd", energy=0.5)
    assert embfact.summary(model).rank == int((shares < 0.5).sum()) + 1


def test_none_has_no_size_and_can_be_stored_smaller(model: PreTrainedModel) -> None:
    embfact.compress(model, "none", storage="int8")
    found = embfact.summary(model)
    assert (found.method, found.rank, found.storage, found.storage_group) == ("none", None, "int8", 64)
    assert found.embedding.parameters == V * H
    assert found.embedding.bytes == V * H + (2 + 1) * V


@pytest.mark.parametrize(("group", "groups"), [("row", 1), (128, 1), (64, 2), (32, 3)])
def test_numbers_that_share_a_scale_are_chosen_and_the_budget_counts_the_scales(group: Any, groups: int) -> None:
    model, width = Specimen("bert", "BertModel", options={"hidden_size": 96}).build(), 96
    embfact.compress(model, "none", storage="int4", storage_group=group)
    found = embfact.summary(model)
    assert (found.storage, found.storage_group) == ("int4", group)
    assert found.embedding.bytes == V * (width // 2 + 2 * groups + (groups + 1) // 2)
    assert f"stored as int4-{group if group == 'row' else f'g{group}'}" in str(found)
    assert model.get_input_embeddings().scales.shape == (V, groups)

    small = Specimen("bert", "BertModel", options={"hidden_size": 96}).build()
    embfact.compress(small, "svd", budget=0.1, storage="int4", storage_group=group)
    after = embfact.summary(small)
    budget = 0.1 * 4 * V * width
    assert after.embedding.bytes <= budget
    assert SVD().size(V, width, (after.rank or 0) + 1, Storage("int4", group)).bytes > budget


@pytest.mark.parametrize("specimen", [BERT, MASKED, LLAMA, T5], ids=str)
def test_the_summary_compares_with_the_dense_model(specimen: Specimen) -> None:
    dense, small = specimen.build(), embfact.compress(specimen.build(), "svd", rank=3)
    before, after = embfact.summary(dense), embfact.summary(small)
    weights = sum(parameter.numel() for parameter in dense.parameters())

    assert before.dense_model == before.model == after.dense_model == model_size(dense)
    assert before.embedding == before.dense_embedding == after.dense_embedding
    assert (before.method, before.tied, after.tied) == (None, False, specimen.tied)
    assert after.embedding.parameters == 3 * (V + H)
    assert after.model.parameters == sum(parameter.numel() for parameter in small.parameters())
    assert after.dense_model.parameters == weights
    words = str(after)
    assert words.startswith("svd, rank 3")
    for number in (3 * (V + H), V * H, weights, 4 * weights):
        assert f"{number:,}" in words


def test_the_summary_of_a_narrower_block_counts_all_that_is_narrower() -> None:
    dense, small = BERT.build(), embfact.compress(BERT.build(), "albert", rank=4)
    found = embfact.summary(small)
    assert found.dense_model == model_size(dense)
    assert found.embedding.parameters == V * 4 + 4 * H + H
    assert found.model == model_size(small)


def test_a_saved_model_comes_back(tmp_path: Path, model: PreTrainedModel) -> None:
    embfact.compress(model, "group_svd", budget=0.7, token_counts=COUNTS, groups=2, storage="int4")
    embfact.save_pretrained(model, tmp_path / "small")
    loaded = embfact.from_pretrained(tmp_path / "small")
    torch.testing.assert_close(output(loaded), output(model), atol=1e-6, rtol=0)
    assert embfact.summary(loaded) == embfact.summary(model)
    weights = tmp_path / "small" / "model.safetensors"
    assert saved_bytes(weights) == embfact.summary(model).model.bytes
    # Saving what was loaded gives the same file.
    embfact.save_pretrained(loaded, tmp_path / "again")
    assert (tmp_path / "again" / "model.safetensors").read_bytes() == weights.read_bytes()


def test_a_tokenizer_is_saved_beside_the_model(tmp_path: Path, model: PreTrainedModel) -> None:
    from tokenizers import Tokenizer, models

    words = {"[UNK]": 0, "a": 1, "b": 2}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel(words, "[UNK]")), unk_token="[UNK]")
    embfact.save_pretrained(model, str(tmp_path / "small"), tokenizer)
    assert json.loads((tmp_path / "small" / "tokenizer.json").read_text())["model"]["vocab"] == words
    assert torch.equal(output(embfact.from_pretrained(str(tmp_path / "small"))), output(model))


BAD_CALLS: dict[str, tuple[dict[str, Any], str]] = {
    "rank 0": ({"rank": 0}, "rank must be a whole number of 1 or more"),
    "negative rank": ({"rank": -3}, "rank must be a whole number of 1 or more"),
    "half a rank": ({"rank": 2.5}, r"rank must be a whole number \(found 2.5\); give e.g. rank=64"),
    "rank in words": ({"rank": "64"}, "rank must be a whole number"),
    "rank is true": ({"rank": True}, "rank must be a whole number"),
    "rank too large": ({"rank": 13}, "rank 13 does not shrink a 60 x 16 table.*the largest rank that does is 12"),
    "no size": ({}, "set exactly one of rank, budget and energy"),
    "two sizes": ({"rank": 3, "energy": 0.5}, r"exactly one .*rank=3, energy=0.5"),
    "budget of nothing": ({"budget": 0}, "budget must be a share above 0"),
    "budget in words": ({"budget": "a tenth"}, "budget must be a share above 0 .*'a tenth'"),
    "budget too small": ({"budget": 1e-4}, r"no room for weighted_svd; it takes 0\.\d+ or more"),
    "energy above all": ({"energy": 1.5}, "energy must be a share above 0 and at most 1"),
    "energy is not a number": ({"energy": float("nan")}, "energy must be a share"),
    "unit": ({"budget": 0.4, "budget_unit": "megabytes"}, "budget_unit has no choice 'megabytes'"),
    "storage": ({"rank": 3, "storage": "int7"}, "storage has no choice 'int7'; did you mean"),
    "group": ({"rank": 3, "storage": "int4", "storage_group": 48}, "storage_group has no choice 48; use one of.*row"),
    "group in words": ({"rank": 3, "storage_group": "rows"}, "storage_group has no choice 'rows'; did you mean 'row'"),
    "half a group": ({"rank": 3, "storage_group": 32.0}, "storage_group has no choice 32.0"),
    "unknown option": ({"rank": 3, "smothing": 1}, "smothing is not an option .*did you mean 'smoothing'"),
    "option out of range": ({"rank": 3, "smoothing": -1}, "smoothing.*greater than or equal to 0"),
    "no counts": ({"rank": 3, "token_counts": None}, r"weighted_svd needs token_counts .*pass token_counts=\.\.\."),
    "few counts": ({"rank": 3, "token_counts": [1, 2]}, r"one number for each of the 60 rows .*\(found shape \(2,\)\)"),
    "negative counts": ({"rank": 3, "token_counts": [1.0] * 59 + [-2]}, r"0 or more \(found -2 for token 59\)"),
    "counts of nothing": ({"rank": 3, "token_counts": [0] * 60}, "token_counts are all 0"),
    "counts not finite": ({"rank": 3, "token_counts": [float("inf")] * 60}, "finite and 0 or more"),
    "counts are words": ({"rank": 3, "token_counts": ["many"] * 60}, "token_counts must be numbers"),
    "ragged counts": ({"rank": 3, "token_counts": [[1], [2, 3]]}, "token_counts must be numbers"),
    "gradients": ({"rank": 3, "row_gradients": [1.0]}, "row_gradients must have one number"),
    "metric shape": ({"rank": 3, "gradient_metric": np.eye(3)}, "gradient_metric must be a 16 x 16 matrix"),
    "metric not symmetric": ({"rank": 3, "gradient_metric": np.tri(16)}, "finite and symmetric"),
    "seed": ({"rank": 3, "seed": 0.5}, "seed must be a whole number"),
}


@pytest.mark.parametrize("call", BAD_CALLS)
def test_a_bad_call_is_refused_in_words_and_changes_nothing(call: str, model: PreTrainedModel) -> None:
    options, words = BAD_CALLS[call]
    before, modules = state(model), list(model.modules())
    with pytest.raises(ValueError, match=words):
        embfact.compress(model, "weighted_svd", **{"token_counts": COUNTS, **options})
    _check_unchanged(model, before, modules)


def _check_unchanged(model: PreTrainedModel, before: dict[str, torch.Tensor], modules: list[nn.Module]) -> None:
    assert all(new is old for new, old in zip(model.modules(), modules, strict=True))
    after = model.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], before[name]) or not before[name].isfinite().all() for name in before)
    assert not hasattr(model.config, "embfact")
    assert "resize_token_embeddings" not in vars(model)


@pytest.mark.parametrize(
    ("method", "words"),
    [
        ("auto", "auto chooses a method by held-out text, .* name one here"),
        ("weightedsvd", "no factorization is called 'weightedsvd'; did you mean 'weighted_svd'"),
        ("base", "no factorization is called 'base'"),
        ("../svd", "no factorization is called"),
        (SVD, "a name such as"),
        (None, "a name such as"),
    ],
)
def test_an_unknown_method_is_refused_with_the_nearest_name(method: Any, words: str, model: PreTrainedModel) -> None:
    with pytest.raises(ValueError, match=words):
        embfact.compress(model, method, rank=3)


def test_a_size_is_refused_where_the_method_has_none(model: PreTrainedModel) -> None:
    with pytest.raises(ValueError, match="none has no size to choose; leave rank out"):
        embfact.compress(model, "none", rank=3)


def _not_finite() -> PreTrainedModel:
    model = BERT.build()
    model.get_input_embeddings().weight.data[7, 2] = torch.nan
    return model


def _quantized() -> PreTrainedModel:
    model = BERT.build()
    model.get_input_embeddings().weight = nn.Parameter(torch.zeros(V, H, dtype=torch.int8), requires_grad=False)
    return model


def _times(factor: float) -> PreTrainedModel:
    model = BERT.build()
    model.get_input_embeddings().weight.data *= factor
    return model


def _meta() -> PreTrainedModel:
    with torch.device("meta"):
        return BertForMaskedLM(AutoConfig.for_model("bert", num_hidden_layers=1))


def _vision() -> PreTrainedModel:
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    return AutoModel.from_config(AutoConfig.for_model("vit", **sizes))


BAD_MODELS: dict[str, tuple[Callable[[], Any], dict[str, Any], str]] = {
    "no model": (lambda: "bert-base-uncased", {}, "give a transformers model"),
    "no transformers model": (lambda: nn.Linear(2, 2), {}, "no input embedding .* Linear"),
    "no token table": (_vision, {}, "only a torch.nn.Embedding can be replaced"),
    "on the meta device": (_meta, {}, "load the weights first"),
    "quantized": (_quantized, {}, "load the model without quantization_config"),
    "not finite": (_not_finite, {}, "1 values that are not finite, the first in row 7"),
    "compressed already": (lambda: embfact.compress(BERT.build(), "svd", rank=3), {}, "start from the dense model"),
    "too large for float16": (lambda: _times(1e6), {"storage": "float16"}, "use storage=float32 or int8"),
    "too large for int8": (lambda: _times(1e9), {"storage": "int8"}, "use storage=float32"),
    "too small for int4": (lambda: _times(1e-7), {"storage": "int4"}, "use storage=float32"),
    "smaller by birth": (Specimen("albert", "AlbertModel").build, {}, "refactorize_existing=true"),
}


@pytest.mark.parametrize("name", BAD_MODELS)
def test_a_model_that_cannot_be_compressed_is_refused_and_left_as_it_was(name: str) -> None:
    make, options, words = BAD_MODELS[name]
    model = make()
    before, modules = (state(model), list(model.modules())) if isinstance(model, PreTrainedModel) else ({}, [])
    with pytest.raises(ValueError, match=words):
        embfact.compress(model, "svd", rank=2, **options)
    if isinstance(model, PreTrainedModel) and name not in ("compressed already", "on the meta device"):
        _check_unchanged(model, before, modules)


def test_what_cannot_be_saved_is_refused_and_nothing_written(tmp_path: Path, model: PreTrainedModel) -> None:
    class Mine(BertForMaskedLM):
        pass

    with pytest.raises(ValueError, match="Mine is not a class of transformers"):
        embfact.save_pretrained(Mine(model.config), tmp_path / "mine")
    (tmp_path / "file").write_text("a file")
    with pytest.raises(ValueError, match="file is a file; give a directory"):
        embfact.save_pretrained(model, tmp_path / "file")
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").write_text("precious")
    with pytest.raises(ValueError, match=r"holds thesis\.tex, .*not part of a saved model"):
        embfact.save_pretrained(model, tmp_path / "home")
    assert {path.name for path in tmp_path.rglob("*")} == {"file", "home", "thesis.tex"}


def test_a_repository_is_not_replaced_by_a_model(tmp_path: Path, model: PreTrainedModel) -> None:
    embfact.save_pretrained(model, tmp_path / "clone")
    (tmp_path / "clone" / ".git").mkdir()
    with pytest.raises(ValueError, match=r"would be lost; .*new or empty directory"):
        embfact.save_pretrained(model, tmp_path / "clone")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda d: (d / "model.safetensors").write_bytes((d / "model.safetensors").read_bytes()[:-9]), "truncated"),
        (lambda d: (d / "model.safetensors").rename(d / "pytorch_model.bin"), "a pickle"),
        (lambda d: (d / "model.safetensors").unlink(), r"has no model\.safetensors"),
        (lambda d: (d / "config.json").write_text("{"), "cannot be loaded"),
        (lambda d: (d / "config.json").unlink(), "cannot be loaded"),
        (lambda d: edit(d, architectures=["os"]), "names the class 'os', .* transformers"),
        (lambda d: edit(d, architectures=["GPT2Model"]), "names the class 'GPT2Model', .* transformers"),
        (lambda d: edit(d, architectures=None), "names the class '', .* transformers"),
        (lambda d: edit(d, embfact={"version": 1, "embedding": {"class": "low_rank"}}), "is damaged"),
        (lambda d: edit(d, model_type="of-my-own"), "cannot be loaded"),
        (lambda d: (d / "generation_config.json").write_text("[1"), "cannot be loaded"),
    ],
)
def test_a_damaged_directory_is_refused_in_words(spoil: Callable[[Path], Any], words: str, tmp_path: Path) -> None:
    model = embfact.compress(LLAMA.build(), "svd", rank=3)
    embfact.save_pretrained(model, tmp_path / "small")
    spoil(tmp_path / "small")
    with pytest.raises(ValueError, match=words):
        embfact.from_pretrained(tmp_path / "small")


def edit(directory: Path, **changes: Any) -> None:
    path = directory / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_directory_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"there is no directory .*nowhere"):
        embfact.from_pretrained(tmp_path / "nowhere")


def test_the_callers_random_numbers_go_on_as_before(model: PreTrainedModel, tmp_path: Path) -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    embfact.compress(model, "random", rank=3)
    embfact.save_pretrained(model, tmp_path / "small")
    embfact.from_pretrained(tmp_path / "small")
    assert torch.equal(torch.rand(4), expected)


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = (
        "import sys, embfact; names = dir(embfact)\n"
        "heavy = {'torch', 'transformers', 'numpy', 'pydantic', 'hydra', 'pytorch_lightning'} & set(sys.modules)\n"
        "print(sorted(heavy), {'compress', 'summary', 'save_pretrained', 'from_pretrained'} <= set(names))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[] True"
    with pytest.raises(AttributeError, match="has no attribute 'compres'"):
        _ = embfact.compres
