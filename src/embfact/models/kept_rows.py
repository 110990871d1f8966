"""A model with fewer tokens: some rows of its token table, and of all else that has one for each token."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from embfact.errors import ModelError
from embfact.models.size import memory_key
from embfact.models.structure import dense_twin
from embfact.models.table import dense_table


def keep_rows(model: PreTrainedModel, old_ids: Sequence[int]) -> None:
    """Keep some rows of the token table, and of an output layer with its bias, in place.

    The configuration gets the new size of the vocabulary and the new ids of special tokens. What transformers then
    builds from it in another shape is what depends on the vocabulary.

    Args:
        model: A transformers model with a dense V x H table.
        old_ids: Its rows in their new order, fewer than V.

    Raises:
        ModelError: If the model has no dense table, or is not what its configuration builds.
    """
    table = dense_table(model)
    size, rows = table.num_embeddings, torch.tensor(old_ids, device=table.weight.device)
    new_ids = {old: new for new, old in enumerate(old_ids)}
    _renumber(model, size, new_ids)
    twin = dense_twin(model)
    if twin is None:
        raise ModelError(f"{type(model).__name__} is not built by its configuration; use a model of transformers")
    wanted = {name: tensor.shape for name, tensor in twin.state_dict().items()}
    smaller: dict[Hashable, torch.Tensor] = {}
    for path, module in model.named_modules():
        for name, tensor in (*module._parameters.items(), *module._buffers.items()):
            shape = wanted.get(f"{path}.{name}".removeprefix("."))
            if tensor is None or shape is None or len(shape) != tensor.dim():
                continue
            changed = [place for place, (old, new) in enumerate(zip(tensor.shape, shape, strict=True)) if old != new]
            if len(changed) != 1 or tensor.shape[changed[0]] != size or shape[changed[0]] != len(rows):
                continue
            key = memory_key(tensor)  # two modules may share the memory, and not the parameter
            if key not in smaller:
                smaller[key] = tensor.data.index_select(changed[0], rows)
            tensor.data = smaller[key]
    for module in model.modules():
        for attribute in ("num_embeddings", "out_features"):
            weight = getattr(module, "weight", None)
            if getattr(module, attribute, None) == size and isinstance(weight, torch.Tensor) and len(weight) != size:
                setattr(module, attribute, len(rows))
                if isinstance(module, nn.Embedding) and module.padding_idx is not None:
                    module.padding_idx = new_ids.get(module.padding_idx)
    if table.num_embeddings != len(rows):
        raise ModelError(
            f"vocab_size in the configuration of this {type(model).__name__} is not the {size} rows of its table; "
            "correct it first"
        )


def _renumber(model: PreTrainedModel, size: int, new_ids: Mapping[int, int]) -> None:
    """Write the new size and ids into the configurations of a model and of its parts."""
    parts = [part for part in model.modules() if isinstance(part, PreTrainedModel)]
    known: list[Any] = [*(part.config for part in parts), *(getattr(part, "generation_config", None) for part in parts)]
    for config in {id(config): config for config in known if config is not None}.values():
        values = config.to_dict()
        for name, value in renumbered(values, size, new_ids).items():
            if value != values[name] and not isinstance(value, dict):
                setattr(config, name, value)


def renumbered(values: Mapping[Any, Any], vocab_size: int, new_ids: Mapping[int, int]) -> dict[Any, Any]:
    """The values of a config.json or generation_config.json with the new size and ids; None for an id that is gone."""

    def new(name: Any, value: Any) -> Any:
        if isinstance(value, dict):
            return renumbered(value, vocab_size, new_ids)
        if name == "vocab_size":
            return len(new_ids) if value == vocab_size else value
        if str(name).endswith(("token_id", "token_ids")):
            return [new_ids.get(one) for one in value] if isinstance(value, list) else new_ids.get(value)
        return value

    return {name: new(name, value) for name, value in values.items()}


def special_ids(values: Mapping[Any, Any]) -> Collection[int]:
    """The ids of tokens that a config.json names."""
    found: set[int] = set()
    for name, value in values.items():
        if isinstance(value, dict):
            found |= set(special_ids(value))
        elif str(name).endswith(("token_id", "token_ids")):
            found |= {one for one in (value if isinstance(value, list) else [value]) if isinstance(one, int)}
    return found
