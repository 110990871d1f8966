"""The token table of a model, if it is one that can be replaced."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from embfact.embeddings.base import TokenEmbedding
from embfact.errors import ModelError


def dense_table(model: Any) -> nn.Embedding:
    """The table of a model that is not compressed yet.

    Args:
        model: A transformers model.

    Raises:
        ModelError: If there is none, or it is compressed, quantized, without values, or does more than a lookup.
    """
    kind = _kind(model)
    table = token_embedding(model)
    if isinstance(table, TokenEmbedding):
        raise ModelError(f"the table of this {kind} is already compressed; start from the dense model")
    _check_weight(table.weight, kind)
    _check_options(table, kind)
    scale_of(table, kind)
    return table


def scale_of(table: nn.Embedding, kind: str = "model") -> float:
    """The factor on the rows of a table: 1, or the ``embed_scale`` of BART and its relatives.

    Raises:
        ModelError: If its lookup does anything else.
    """
    if type(table) is nn.Embedding:
        return 1.0
    scale = float(getattr(table, "embed_scale", 1.0))
    ids = torch.arange(min(table.num_embeddings, 8), device=table.weight.device)
    with torch.no_grad():
        expected = nn.functional.embedding(ids, table.weight) * scale
        same = torch.allclose(table(ids), expected, rtol=1e-2, atol=1e-6, equal_nan=True)
    if not same:
        raise ModelError(
            f"the token embedding of this {kind} is a {type(table).__name__}, which does more than look up and scale "
            "rows; use a model with a plain token table"
        )
    return scale


def token_embedding(model: Any) -> nn.Embedding | TokenEmbedding:
    """The module in which a model looks tokens up, dense or compressed.

    Raises:
        ModelError: If there is none.
    """
    kind = _kind(model)
    find = getattr(model, "get_input_embeddings", None)
    if not isinstance(model, nn.Module) or find is None:
        raise ModelError(
            f"no input embedding can be found in a {kind}; give a transformers model, e.g. from "
            "AutoModel.from_pretrained"
        )
    try:
        found = find()
    except NotImplementedError:
        found = None
    if found is None:
        raise ModelError(f"this {kind} has no input embedding; give a model that reads token ids")
    if not isinstance(found, nn.Embedding | TokenEmbedding):
        raise ModelError(
            f"the token embedding of this {kind} is a {type(found).__name__}, and only a torch.nn.Embedding can be "
            "replaced; use a model with a plain token table"
        )
    return found


def _check_weight(weight: torch.Tensor, kind: str) -> None:
    if weight.is_meta:
        raise ModelError(f"the table of this {kind} is on the meta device and has no values; load the weights first")
    # bitsandbytes and torchao keep quantized weights in integers or in tensor classes of their own.
    plain = type(weight) is nn.Parameter and type(weight.data) is torch.Tensor
    if not plain or not weight.is_floating_point() or weight.element_size() == 1:
        raise ModelError(
            f"the table of this {kind} is quantized or split (a {type(weight).__name__} of {weight.dtype}); load the "
            "model without quantization_config, and choose storage=int8 or another format here"
        )


def _check_options(table: nn.Embedding, kind: str) -> None:
    for option in ("max_norm", "sparse", "scale_grad_by_freq"):
        if getattr(table, option):
            raise ModelError(
                f"the table of this {kind} has {option}={getattr(table, option)}, which a smaller embedding cannot "
                f"follow; set {option} to {None if option == 'max_norm' else False} first"
            )


def _kind(model: Any) -> str:
    return getattr(getattr(model, "config", None), "model_type", None) or type(model).__name__
