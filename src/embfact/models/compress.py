"""Replacing a model's token-embedding table by a smaller module."""

from __future__ import annotations

from typing import Any, cast

from torch import nn
from transformers import PreTrainedModel

from embfact.embeddings.build import build_embedding, describe_embedding
from embfact.embeddings.layout import FLOAT32, Storage
from embfact.embeddings.projected_block import ProjectedBlock
from embfact.errors import ModelError
from embfact.factorization.base import Evidence, Factorization, Method, ModelAdapter, TokenizerMethod
from embfact.factorization.registry import build_method
from embfact.models.sharing import Places, find_places, note, put, settle
from embfact.models.size import memory_key, unique_tensors
from embfact.models.storage import allocate
from embfact.models.table import dense_table, scale_of, token_embedding
from embfact.models.undo import unchanged_on_error

BLUEPRINT_VERSION = 1


def compress(
    model: PreTrainedModel,
    method: Method,
    rank: int | None,
    *,
    evidence: Evidence | None = None,
    seed: int = 0,
    allow_larger: bool = False,
    storage: Storage = FLOAT32,
) -> None:
    """Replace the token embedding of a model by the result of a method, in place.

    All modules that look up in the table get the new one, and output layers that are tied to it use it for their
    scores; an output layer with weights of its own stays as it is. ``model.config.embfact`` then holds the blueprint
    that `rebuild` needs, and is saved with the configuration. A model that cannot be compressed is left unchanged.

    Args:
        model: A transformers model with a dense V x H table.
        method: The factorization.
        rank: Its rank r; None for a method without one.
        evidence: What ``method.needs`` asks for.
        seed: Seed of methods that draw random numbers.
        allow_larger: Accept a rank that does not shrink the table.
        storage: How the embedding will be stored in the end, which decides what shrinks; see
            `embfact.models.storage.store`.

    Raises:
        ModelError: If the model has no dense table that can be replaced, the rank or evidence does not fit it, or the
            table is already factorized.
    """
    table = dense_table(model)
    _check_width(model, table, method)
    places = find_places(model, table)
    try:
        with unchanged_on_error(model):
            sizes, weight_bytes = (table.num_embeddings, table.embedding_dim), table.weight.element_size()
            method.check_size(*sizes, rank, allow_larger, storage, weight_bytes)
            if isinstance(method, Factorization):
                structure = _replace_table(model, table, places, method, rank, evidence, seed)
            elif isinstance(method, ModelAdapter):
                structure = _adapt(model, places, method, rank, seed)
            elif isinstance(method, TokenizerMethod):
                raise ValueError("the tokenizer has to change too; use embfact trim, or train a run with it")
            else:
                raise TypeError(f"{type(method).__name__} is none of Factorization, ModelAdapter, TokenizerMethod")
            head = {"version": BLUEPRINT_VERSION, "method": method.name, "rank": rank}
            note(model, {**head, **places.as_json(), **structure})
    except ModelError:
        raise
    except ValueError as error:
        raise ModelError(f"{method.name} of {model.config.model_type}: {error}") from error


def rebuild(model: PreTrainedModel) -> None:
    """Give a model built from a saved configuration the structure that `compress` gave it, in place.

    The new modules are empty: the saved weights are loaded into them. A model without a blueprint is left as it is.

    Raises:
        ModelError: If the blueprint cannot be followed.
    """
    blueprint = getattr(model.config, "embfact", None)
    if blueprint is None:
        return
    version = blueprint.get("version") if isinstance(blueprint, dict) else None
    if version != BLUEPRINT_VERSION:
        raise ModelError(
            f"config.json has an embfact blueprint of version {version}, and this embfact reads {BLUEPRINT_VERSION}; "
            "load it with the embfact that saved it"
        )
    try:
        # A class other than the saved one, say with another head, shows by itself what it ties to its table.
        recorded = Places.recorded(blueprint, model) if model.config.architectures == [type(model).__name__] else None
        places = recorded or find_places(model, dense_table(model))
        if "adapter" in blueprint:
            adapter = build_method(blueprint["adapter"])
            if not isinstance(adapter, ModelAdapter):
                raise ValueError(f"{adapter.name} is not a ModelAdapter")
            adapter.adapt(model, blueprint["rank"])
            settle(model, places)
            allocate(model, Storage.of_json(blueprint))
        else:
            put(model, build_embedding(blueprint["embedding"]), places)
        note(model, {**model.config.embfact, **places.as_json()})
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"the embfact blueprint in config.json is damaged ({error}); save the model again") from error


def embedding_tensors(model: PreTrainedModel) -> list[str]:
    """Names in a checkpoint of the token embedding: the table, or what a method replaced it by.

    What a tied output layer shares with it belongs to it and counts once. If a method projects the whole embedding
    block, these are the token table and the projection: position and segment tables are not part of a token embedding.

    Raises:
        ModelError: If the model has no token embedding, or was quantized after it was built.
    """
    tensors = unique_tensors(model)
    own = {
        memory_key(tensor) for part in embedding_modules(model) for tensor in part.state_dict(keep_vars=True).values()
    }
    return [name for name, tensor in tensors.items() if memory_key(tensor) in own]


def embedding_modules(model: PreTrainedModel) -> list[nn.Module]:
    """The modules that hold the `embedding_tensors` of a model."""
    blocks = [module.projection for module in model.modules() if isinstance(module, ProjectedBlock)]
    return [token_embedding(model), *blocks]


def _replace_table(
    model: PreTrainedModel,
    table: nn.Embedding,
    places: Places,
    method: Factorization,
    rank: int | None,
    evidence: Evidence | None,
    seed: int,
) -> dict[str, Any]:
    weight = table.weight.detach()
    embedding = method.fit(weight, rank, evidence=evidence, padding_idx=table.padding_idx, seed=seed)
    embedding.scale = _common_scale(model, places)
    description = describe_embedding(embedding)
    if not table.weight.requires_grad:
        embedding.requires_grad_(False)
    put(model, embedding.to(weight.device).train(table.training), places)
    return {"embedding": description}


def _common_scale(model: PreTrainedModel, places: Places) -> float:
    tables = {path: cast(nn.Embedding, model.get_submodule(path)) for path in places.inputs}
    scales = {scale_of(table): path for path, table in tables.items()}
    if len(scales) > 1:
        found = " and ".join(f"{scale:g} in {path}" for scale, path in scales.items())
        raise ModelError(f"{model.config.model_type} scales one table in different ways ({found}); untie them first")
    return next(iter(scales))


def _adapt(model: PreTrainedModel, places: Places, method: ModelAdapter, rank: int | None, seed: int) -> dict[str, Any]:
    if places.heads:
        raise ModelError(
            f"{method.name} leaves no V x H table for the tied output layer {places.heads[0]}; use another method, or "
            "a model with a classification head"
        )
    method.adapt(model, rank, seed=seed)
    settle(model, places)
    target = f"{type(method).__module__}.{type(method).__qualname__}"
    return {"adapter": {"_target_": target, **method.model_dump(mode="json")}}


def _check_width(model: PreTrainedModel, table: nn.Embedding, method: Method) -> None:
    """Refuse a table that the backbone itself keeps smaller than its layers, unless that is requested."""
    hidden = getattr(model.config.get_text_config(), "hidden_size", table.embedding_dim)
    if table.embedding_dim != hidden and method.name != "none" and not method.refactorize_existing:
        raise ModelError(
            f"{model.config.model_type} already keeps its table at {table.embedding_dim} columns for {hidden} hidden "
            "units; use factorization=none, or set factorization.refactorize_existing=true to factorize it further"
        )
