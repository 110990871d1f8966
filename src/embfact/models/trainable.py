"""Which weights of a compressed model are trained besides its head, and which of them replaced the table."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn
from transformers import PreTrainedModel

from embfact.config.sections import Trainable
from embfact.embeddings.base import TokenEmbedding
from embfact.embeddings.dense import DenseEmbedding
from embfact.embeddings.projected_block import ProjectedBlock
from embfact.errors import ModelError


def freeze(model: PreTrainedModel, trainable: Trainable) -> None:
    """Freeze some weights: they get no gradient, and so no state in an optimizer made afterwards.

    The head, i.e. everything outside of ``model.base_model``, is always trained.

    Args:
        model: A compressed model, or a dense one.
        trainable: What is trained besides the head: ``all``; ``factors``, the token embedding alone; ``projection``,
            the part of it that maps to the width of the encoder; ``backbone``, everything but the token embedding.

    Raises:
        ModelError: If the token embedding has no such projection.
    """
    for parameter in frozen(model, trainable):
        parameter.requires_grad_(False)


def frozen(model: PreTrainedModel, trainable: Trainable) -> set[nn.Parameter]:
    """The weights that `freeze` freezes."""
    if trainable == "all":
        return set()
    base, projection = set(model.base_model.parameters()), set(_projection(model))
    embedding = {*model.get_input_embeddings().parameters(), *projection}
    trained = {"factors": embedding, "projection": projection, "backbone": base - embedding}[trainable]
    if not trained:
        method = (getattr(model.config, "embfact", None) or {}).get("method", "none")
        raise ModelError(
            f"{method} has no projection to the width of the encoder to train alone; "
            "use trainable=factors or trainable=all"
        )
    return base - trained


def replacement(model: nn.Module) -> set[nn.Parameter]:
    """Weights that replaced the token table; none if the table is whole.

    If a method projects the whole embedding block, these are all weights of the new block and its projection.
    """
    parts = [
        module
        for module in model.modules()
        if isinstance(module, TokenEmbedding | ProjectedBlock) and not isinstance(module, DenseEmbedding)
    ]
    return {parameter for part in parts for parameter in part.parameters()}


def _projection(model: PreTrainedModel) -> Iterator[nn.Parameter]:
    embedding = model.get_input_embeddings()
    if isinstance(embedding, TokenEmbedding):
        yield from embedding.projection_parameters()
    for module in model.modules():
        if isinstance(module, ProjectedBlock):
            yield from module.projection.parameters()
