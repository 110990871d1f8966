"""Every supported backbone with its heads: swapped, run, trained, saved and loaded, tied as it was."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch import nn
from transformers import PreTrainedModel

from embfact.embeddings.base import TokenEmbedding
from embfact.errors import ModelError
from embfact.factorization.base import Evidence, Method
from embfact.factorization.group_svd import GroupSVD
from embfact.factorization.none import Dense
from embfact.factorization.residual_quantization import ResidualQuantization
from embfact.factorization.svd import SVD
from embfact.models.checkpoint import load_model, save
from embfact.models.compress import compress, embedding_tensors
from embfact.models.heads import PassedTableHead, TiedHead
from embfact.models.size import model_size, saved_bytes
from tests.helpers.zoo import DECODERS, IDS, SEQ2SEQ, SPECIMENS, H, Specimen, V, loss, output

EVIDENCE = Evidence(token_counts=torch.arange(1.0, V + 1, dtype=torch.float64))
METHODS = {
    "svd": SVD(refactorize_existing=True),
    "group_svd": GroupSVD(groups=2, refactorize_existing=True),
    "residual_quantization": ResidualQuantization(centroids=8, stages=3, refactorize_existing=True),
}
RANK = 3
each_specimen = pytest.mark.parametrize("specimen", SPECIMENS, ids=str)
WITH_HEADS = [specimen for specimen in SPECIMENS if specimen.tied]
each_tied = pytest.mark.parametrize("specimen", WITH_HEADS, ids=str)
ONE_OF_EACH = [s for s in WITH_HEADS if s.kind in ("BertForMaskedLM", "LlamaForCausalLM")] + [
    s for s in SEQ2SEQ if s.backbone in ("t5", "bart-scaled") and s.generates and s.tied
]
one_of_each = pytest.mark.parametrize("specimen", ONE_OF_EACH, ids=str)


def compressed(specimen: Specimen, method: Method = METHODS["svd"], rank: int | None = RANK) -> PreTrainedModel:
    model = specimen.build()
    compress(model, method, rank, evidence=EVIDENCE)
    return model


def embedding_of(model: PreTrainedModel) -> TokenEmbedding:
    embedding = model.get_input_embeddings()
    assert isinstance(embedding, TokenEmbedding)
    return embedding


def heads_of(model: PreTrainedModel) -> list[nn.Module]:
    """Output layers that score with the input embedding."""
    heads = [module for module in model.modules() if isinstance(module, TiedHead | PassedTableHead)]
    for head in heads:
        # Neither the head nor anything in it holds a matrix of V columns.
        assert all(parameter.ndim < 2 or V not in parameter.shape for parameter in head.parameters())
        assert isinstance(head, PassedTableHead) or head.embedding is model.get_input_embeddings()
    return heads


@each_specimen
def test_a_table_of_full_rank_leaves_every_output_as_it_was(specimen: Specimen) -> None:
    model = specimen.build()
    before = output(model)
    compress(model, METHODS["svd"], model.get_input_embeddings().embedding_dim, allow_larger=True)
    assert before.std() > 0.1
    torch.testing.assert_close(output(model), before, atol=1e-4, rtol=0)


@each_specimen
def test_an_output_layer_is_tied_where_it_was_and_no_table_is_left(specimen: Specimen) -> None:
    dense, model = specimen.build(), compressed(specimen)
    assert bool(heads_of(model)) == specimen.tied
    table, untouched = dense.get_input_embeddings().weight, model.state_dict()
    assert not any(t.shape == table.shape and torch.equal(t, table) for t in untouched.values())
    lookups = [path for path, m in dense.named_modules(remove_duplicate=False) if getattr(m, "weight", None) is table]
    embedding = embedding_of(model)
    for path in lookups:
        place = model.get_submodule(path)
        assert place is embedding or isinstance(place, TiedHead)
    # What is not replaced is what it was.
    kept = [name for name in dense.state_dict() if name in untouched]
    assert kept
    assert all(torch.equal(untouched[name], dense.state_dict()[name]) for name in kept)


@each_specimen
@pytest.mark.parametrize("name", METHODS)
def test_a_loaded_model_gives_what_the_saved_one_gave(specimen: Specimen, name: str, tmp_path: Path) -> None:
    model = compressed(specimen, METHODS[name])
    save(model, None, tmp_path / "saved")
    loaded = load_model(tmp_path / "saved")
    assert type(loaded) is type(model)
    torch.testing.assert_close(output(loaded), output(model), atol=1e-6, rtol=0)
    assert len(heads_of(loaded)) == len(heads_of(model))
    assert embedding_tensors(loaded) == embedding_tensors(model)
    with safe_open(tmp_path / "saved" / "model.safetensors", framework="pt") as file:
        names = [key for key in file.keys() if file.get_tensor(key).numel()]  # noqa: SIM118 (no mapping)
        assert len(names) == len({id(tensor) for tensor in model.state_dict(keep_vars=True).values()})
    assert saved_bytes(tmp_path / "saved" / "model.safetensors") == model_size(model).bytes


@each_specimen
def test_a_step_of_training_moves_the_embedding_and_nothing_comes_apart(specimen: Specimen) -> None:
    model = compressed(specimen).double()
    before = loss(model)
    before.backward()
    embedding = embedding_of(model)
    assert all(parameter.grad.abs().sum() > 0 for parameter in embedding.parameters())
    names = [name for name, _ in model.named_parameters()]
    assert len(names) == len(set(model.parameters()))
    with torch.no_grad():
        for parameter in embedding.parameters():
            parameter -= 1e-6 * parameter.grad / parameter.grad.norm()
    assert loss(model) < before


@each_tied
def test_the_gradient_of_a_tied_output_layer_reaches_the_embedding(specimen: Specimen) -> None:
    model = compressed(specimen)
    embedding = embedding_of(model)
    embedding.requires_grad_(False)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    embedding.requires_grad_(True)
    # Hidden states come from vectors that do not depend on the embedding: what is left is the way through the head.
    vectors = {"inputs_embeds": torch.randn(1, 4, embedding.embedding_dim)}
    if model.config.is_encoder_decoder:
        vectors["decoder_inputs_embeds"] = torch.randn(1, 4, embedding.embedding_dim)
    model(**vectors)[0].square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in embedding.parameters())


@pytest.mark.parametrize("specimen", [s for s in [*DECODERS, *SEQ2SEQ] if s.generates], ids=str)
def test_it_writes_what_it_wrote_before(specimen: Specimen, tmp_path: Path) -> None:
    model = specimen.build()
    prompt = {"input_ids": IDS[:1], "max_new_tokens": 3, "min_new_tokens": 3, "do_sample": False}
    written = model.generate(**prompt)
    compress(model, METHODS["svd"], H, allow_larger=True)
    assert torch.equal(model.generate(**prompt), written)
    model.generation_config.max_new_tokens = 2
    save(model, None, tmp_path / "saved")
    loaded = load_model(tmp_path / "saved")
    assert torch.equal(loaded.generate(**prompt), written)
    assert loaded.generation_config.max_new_tokens == 2


@one_of_each
def test_it_stays_tied_in_copies_and_pickles(specimen: Specimen) -> None:
    model = compressed(specimen)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert embedding_of(other) is not embedding_of(model)
        assert len(heads_of(other)) == 1
        assert torch.equal(output(other), output(model))
        with torch.no_grad():
            next(embedding_of(other).parameters()).mul_(2)
        assert not torch.equal(output(other), output(model))


@one_of_each
def test_it_stays_tied_when_it_is_moved(specimen: Specimen) -> None:
    model = compressed(specimen)
    before = output(model)
    model.to(torch.float64)
    assert len(heads_of(model)) == 1
    assert output(model).dtype == torch.float64
    torch.testing.assert_close(output(model).float(), before, atol=1e-4, rtol=0)


@pytest.mark.parametrize("kind", ["BertForMaskedLM", "BartForCausalLM", "T5ForConditionalGeneration"])
def test_it_can_be_compiled(kind: str) -> None:
    torch._dynamo.reset()
    specimen = next(specimen for specimen in ONE_OF_EACH if specimen.kind == kind)
    model = specimen.build(**({"num_hidden_layers": 1} if kind == "BertForMaskedLM" else {}))
    compress(model, METHODS["svd"], RANK)
    faster = torch.compile(model, backend="aot_eager")
    before = output(model)
    torch.testing.assert_close(output(faster, training=True), before, atol=1e-5, rtol=0)
    # The compiled graph reads the weights of the module: both ends follow a change of them.
    with torch.no_grad():
        next(embedding_of(model).parameters()).mul_(1.5)
    torch.testing.assert_close(output(faster, training=True), output(model), atol=1e-5, rtol=0)
    assert not torch.allclose(output(model), before)
    loss(faster).backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in embedding_of(model).parameters())


@one_of_each
def test_the_vocabulary_keeps_its_size(specimen: Specimen, tmp_path: Path) -> None:
    model = compressed(specimen)
    save(model, None, tmp_path / "saved")
    for other in (model, model.base_model, copy.deepcopy(model), load_model(tmp_path / "saved")):
        before = output(model)
        with pytest.raises(ModelError, match="call resize_token_embeddings on the dense model"):
            other.resize_token_embeddings(V + 2)
        assert torch.equal(output(model), before)


@each_tied
def test_what_transformers_does_with_ties_finds_them_in_order(specimen: Specimen, tmp_path: Path) -> None:
    model = compressed(specimen)
    before = output(model)
    model.tie_weights()
    assert torch.equal(output(model), before)
    model.save_pretrained(tmp_path / "theirs")
    torch.testing.assert_close(output(load_model(tmp_path / "theirs")), before, atol=1e-6, rtol=0)


@each_specimen
def test_none_leaves_a_checkpoint_that_transformers_reads_alone(specimen: Specimen, tmp_path: Path) -> None:
    model = compressed(specimen, Dense(), None)
    dense = specimen.build()
    assert list(model.state_dict()) == [name for name in dense.state_dict() if name in model.state_dict()]
    assert torch.equal(output(model), output(dense))
    save(model, None, tmp_path / "saved")
    plain = type(model).from_pretrained(tmp_path / "saved")
    assert torch.equal(output(plain), output(dense))
    assert not (tmp_path / "saved" / "embfact_model.py").exists()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@one_of_each
def test_dtypes_are_kept(specimen: Specimen, dtype: torch.dtype, tmp_path: Path) -> None:
    model = specimen.build(dtype)
    compress(model, METHODS["svd"], RANK)
    save(model, None, tmp_path / "saved")
    loaded = load_model(tmp_path / "saved")
    kinds = {name: tensor.dtype for name, tensor in model.state_dict().items()}
    assert {name: tensor.dtype for name, tensor in loaded.state_dict().items()} == kinds
    assert dtype in kinds.values()
    torch.testing.assert_close(output(loaded), output(model), atol=1e-6, rtol=0)


def test_a_frozen_table_stays_frozen() -> None:
    model = SPECIMENS[0].build()
    model.get_input_embeddings().requires_grad_(False)
    compress(model, METHODS["svd"], RANK)
    assert not any(parameter.requires_grad for parameter in model.get_input_embeddings().parameters())


def test_a_decoder_table_of_its_own_is_left_as_it_is() -> None:
    specimen = next(s for s in SEQ2SEQ if s.backbone == "marian-unshared")
    dense, model = specimen.build(), compressed(specimen)
    assert torch.equal(model.lm_head.weight, dense.lm_head.weight)
    assert model.lm_head.weight is model.model.decoder.embed_tokens.weight
    model.tie_weights()
    assert model.lm_head.weight is model.model.decoder.embed_tokens.weight


def test_tables_that_differ_are_not_taken_for_one() -> None:
    model = next(s for s in SEQ2SEQ if s.backbone == "t5").build()
    table = model.encoder.embed_tokens
    table.weight = nn.Parameter(torch.randn_like(table.weight))
    before = output(model)
    with pytest.raises(ModelError, match=r"different tables in encoder\.embed_tokens and shared"):
        compress(model, METHODS["svd"], RANK)
    assert torch.equal(output(model), before)
    assert not hasattr(model.config, "embfact")
