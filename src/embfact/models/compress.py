"""Putting a smaller module in the place of a model's token-embedding table."""

from __future__ import annotations

from typing import Any

from torch import nn
from transformers import PreTrainedModel

from embfact.embeddings.base import TokenEmbedding
from embfact.embeddings.build import build_embedding, describe_embedding
from embfact.embeddings.projected_block import ProjectedBlock
from embfact.errors import ModelError
from embfact.factorization.base import Evidence, Factorization, Method, ModelAdapter
from embfact.factorization.registry import build_method

BLUEPRINT_VERSION = 1


def compress(
    model: PreTrainedModel,
    method: Method,
    rank: int | None,
    *,
    evidence: Evidence | None = None,
    seed: int = 0,
    allow_larger: bool = False,
) -> None:
    """Replace the token embedding of a model by what a method makes of it, in place.

    ``model.config.embfact`` then holds the blueprint that `rebuild` needs, and is saved with the configuration.

    Args:
        model: A transformers encoder with a dense V x H table.
        method: The factorization.
        rank: Its rank r; None for a method that has none.
        evidence: What ``method.needs`` asks for.
        seed: Seed of methods that draw random numbers.
        allow_larger: Accept a rank that does not shrink the table.

    Raises:
        ModelError: If the model has no dense table of its own, the rank or evidence does not fit it, or the table is
            factorized already.
    """
    table = _dense_table(model, method)
    try:
        method.check_size(table.num_embeddings, table.embedding_dim, rank, allow_larger)
        if isinstance(method, Factorization):
            structure = _replace_table(model, table, method, rank, evidence, seed)
        elif isinstance(method, ModelAdapter):
            structure = _adapt(model, method, rank, seed)
        else:
            raise TypeError(f"{type(method).__name__} is neither a Factorization nor a ModelAdapter")
    except ValueError as error:
        raise ModelError(f"{method.name} of {model.config.model_type}: {error}") from error
    model.config.embfact = {"version": BLUEPRINT_VERSION, "method": method.name, "rank": rank, **structure}


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
        if "adapter" in blueprint:
            adapter = build_method(blueprint["adapter"])
            if not isinstance(adapter, ModelAdapter):
                raise ValueError(f"{adapter.name} is no ModelAdapter")
            adapter.adapt(model, blueprint["rank"])
        else:
            model.set_input_embeddings(build_embedding(blueprint["embedding"]))
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"the embfact blueprint in config.json is damaged ({error}); save the model again") from error


def embedding_tensors(model: PreTrainedModel) -> list[str]:
    """State-dict names of the token embedding: the table, or what a method put in its place.

    Where a method projects the whole embedding block, these are the token table and the projection: the position and
    segment tables are no part of a token embedding, large or small.
    """
    embedding = model.get_input_embeddings()
    owners = [name for name, module in model.named_modules() if module is embedding]
    owners += [f"{name}.projection" for name, module in model.named_modules() if isinstance(module, ProjectedBlock)]
    return [name for name in model.state_dict() if name.startswith(tuple(f"{owner}." for owner in owners))]


def _replace_table(
    model: PreTrainedModel,
    table: nn.Embedding,
    method: Factorization,
    rank: int | None,
    evidence: Evidence | None,
    seed: int,
) -> dict[str, Any]:
    weight = table.weight.detach()
    embedding = method.fit(weight, rank, evidence=evidence, padding_idx=table.padding_idx, seed=seed)
    description = describe_embedding(embedding)
    model.set_input_embeddings(embedding.to(weight.device).train(table.training))
    return {"embedding": description}


def _adapt(model: PreTrainedModel, method: ModelAdapter, rank: int | None, seed: int) -> dict[str, Any]:
    method.adapt(model, rank, seed=seed)
    target = f"{type(method).__module__}.{type(method).__qualname__}"
    return {"adapter": {"_target_": target, **method.model_dump(mode="json")}}


def _dense_table(model: PreTrainedModel, method: Method) -> nn.Embedding:
    """The model's table, if it is one that can be replaced."""
    kind = model.config.model_type
    try:
        table = model.get_input_embeddings()
    except NotImplementedError:
        table = None
    if isinstance(table, TokenEmbedding):
        raise ModelError(f"the table of this {kind} is compressed already; start from the dense model")
    # A subclass may scale its rows (BART), which the replacement would lose.
    if type(table) is not nn.Embedding:
        raise ModelError(
            f"the token embedding of this {kind} is a {type(table).__name__}, and only a torch.nn.Embedding can be "
            "replaced; use another backbone"
        )
    if table.weight.is_meta:
        raise ModelError(f"the table of this {kind} is on the meta device and has no values; load the weights first")
    head = model.get_output_embeddings()
    if head is not None and getattr(head, "weight", None) is table.weight:
        raise ModelError(
            f"{kind} shares its table with its output layer, which is not supported; "
            "use a model with a classification head"
        )
    hidden = model.config.hidden_size
    if table.embedding_dim != hidden and method.name != "none" and not method.refactorize_existing:
        raise ModelError(
            f"{kind} already keeps its table at {table.embedding_dim} columns for {hidden} hidden units; use "
            "factorization=none, or set factorization.refactorize_existing=true to factorize it further"
        )
    return table
