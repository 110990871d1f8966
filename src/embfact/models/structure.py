"""Whether a model is what its class and configuration build, so that it can be rebuilt and loaded."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from importlib import import_module
from typing import Any, cast

import torch
import transformers
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel

from embfact.embeddings.base import TokenEmbedding
from embfact.embeddings.projected_block import ProjectedBlock
from embfact.errors import ModelError
from embfact.models.heads import PassedTableHead, TiedHead
from embfact.models.pooled import body_options
from embfact.models.static import OWN

_OURS = (TokenEmbedding, ProjectedBlock, TiedHead, PassedTableHead)


def find_class(config: PreTrainedConfig, name: str) -> type[PreTrainedModel] | None:
    """A model class of transformers, or of ours, with this type of configuration; other packages are not searched."""
    found = OWN.get(name) or getattr(transformers, name, None)
    module = type(config).__module__
    if found is None and module.startswith("transformers.models."):
        found = getattr(import_module(module.replace(".configuration_", ".modeling_")), name, None)
    if not (isinstance(found, type) and issubclass(found, PreTrainedModel)):
        return None
    return found if isinstance(config, found.config_class or ()) else None


def build(kind: type[PreTrainedModel], config: PreTrainedConfig, *, pooler: bool = True) -> PreTrainedModel:
    """A model as transformers builds it, with a dense table.

    Args:
        kind: Its class.
        config: Its configuration.
        pooler: Whether it has the pooler of its class; the backbones of some heads have none.
    """
    return kind._from_config(config, **({} if pooler else body_options(kind)))


def has_pooler(names: Any) -> bool:
    """Whether these are names of the weights of a backbone with a pooler."""
    return any("pooler" in name for name in names)


def dense_twin(model: PreTrainedModel) -> PreTrainedModel | None:
    """What transformers builds from the class and configuration of a model, without values; None if it cannot."""
    try:
        with torch.device("meta"):
            return build(type(model), copy.deepcopy(model.config), pooler=has_pooler(model.state_dict()))
    except Exception:  # the constructor of a user's class may raise anything
        return None


def ties_itself(twin: PreTrainedModel, heads: tuple[str, ...]) -> bool:
    """Whether transformers itself ties these output layers to the table."""
    table = cast(nn.Embedding, twin.get_input_embeddings()).weight
    return all(getattr(twin.get_submodule(path), "weight", table) is table for path in heads)


def is_plain(tensor: Any) -> bool:
    """Whether a tensor is nothing but its numbers, unlike those of torchao, bitsandbytes and sharded ones."""
    return type(tensor) in (torch.Tensor, nn.Parameter) and type(tensor.data) is torch.Tensor


def check_plain(model: PreTrainedModel, tensors: Mapping[str, torch.Tensor]) -> None:
    """Refuse tensors that a file of weights cannot hold, with a `ModelError` for the first of them."""
    for name, tensor in tensors.items():
        if not is_plain(tensor):
            raise ModelError(
                f"{name} of this {type(model).__name__} is of the class {type(tensor).__name__}, which a file of "
                "weights cannot hold; measure and save the model before quantizing or splitting it"
            )


def structure_error(model: PreTrainedModel, tensors: Mapping[str, torch.Tensor]) -> str | None:
    """Why a model could not be rebuilt from its class, its configuration and its weights; None if it can.

    A class that transformers does not have, quantized or pruned layers, adapters: whatever changes a model after it was
    built shows in the names, shapes and kinds of its tensors.

    Args:
        model: The model.
        tensors: What is to be saved of it, each tensor once.
    """
    kind, twin = type(model).__name__, dense_twin(model)
    if find_class(model.config, kind) is not type(model):
        return f"{kind} is not a class of transformers"
    if twin is None:
        return f"its configuration builds no {kind}"
    layers = dict(model.named_modules(remove_duplicate=False))
    for path, layer in layers.items():
        owner, _, name = path.rpartition(".")
        if isinstance(layer, _OURS):
            if owner not in dict(twin.named_modules(remove_duplicate=False)):
                return f"a {kind} of its configuration has no {path}"
            setattr(twin.get_submodule(owner), name, layer)
    expected, found = twin.state_dict(keep_vars=True), {**model.state_dict(keep_vars=True), **tensors}
    for name in [*found, *expected]:
        if not _alike(found.get(name), expected.get(name)):
            found_in = type(layers.get(name.rpartition(".")[0], model))
            here = f"{found_in.__module__}.{found_in.__qualname__}"
            return f"a {kind} of its configuration has another {name} (here in a {here})"
    return None


def _alike(one: Any, other: Any) -> bool:
    plain = is_plain(one) and is_plain(other)
    return plain and one.shape == other.shape and one.is_floating_point() == other.is_floating_point()
