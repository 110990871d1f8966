"""Where a model holds its token table: lookups and output layers that share one weight, replaced together."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from torch import nn
from transformers import PreTrainedModel

from embfact.embeddings.base import TokenEmbedding
from embfact.embeddings.projected_block import ProjectedBlock
from embfact.errors import ModelError
from embfact.models.heads import TABLE_IS_PASSED, PassedTableHead, TiedHead, tied_to
from embfact.models.size import memory_key


@dataclass(frozen=True)
class Places:
    """Paths of the modules of a model that hold its token table.

    Attributes:
        inputs: Those that look tokens up; encoder and decoder of T5 and BART have one each, besides the shared one.
        heads: Output layers tied to it.
    """

    inputs: tuple[str, ...]
    heads: tuple[str, ...]

    def as_json(self) -> dict[str, list[str]]:
        """For the blueprint."""
        return {name: list(paths) for name, paths in asdict(self).items()}

    @classmethod
    def recorded(cls, blueprint: Mapping[str, Any], model: nn.Module) -> Places | None:
        """The places of a blueprint, or None if this model, e.g. the encoder alone, has others."""
        inputs, heads = (tuple(blueprint.get(name) or ()) for name in ("inputs", "heads"))
        paths = dict(model.named_modules(remove_duplicate=False))
        return cls(inputs, heads) if inputs and paths.keys() >= {*inputs, *heads} else None


def find_places(model: nn.Module, table: nn.Embedding) -> Places:
    """Every module of a model that holds the weight of its token table.

    The weights decide, not the configuration, which may not mention that they are tied.

    Raises:
        ModelError: If a module that cannot be replaced holds the weight too.
    """
    inputs, heads, wanted = [], [], memory_key(table.weight)
    for path, module in model.named_modules(remove_duplicate=False):
        if type(module).__name__ in TABLE_IS_PASSED:
            heads.append(path)
        for name, weight in module._parameters.items():
            if weight is None or weight.device != table.weight.device or weight.data_ptr() != table.weight.data_ptr():
                continue
            if name == "weight" and memory_key(weight) == wanted and isinstance(module, nn.Embedding):
                inputs.append(path)
            elif name == "weight" and memory_key(weight) == wanted and type(module) is nn.Linear:
                heads.append(path)
            else:
                raise ModelError(
                    f"{path}.{name} of a {type(module).__name__} shares memory with the token table, and only tables "
                    "and linear output layers can share its replacement; give it a copy of the weight first"
                )
    return Places(tuple(inputs), tuple(heads))


def places_of(model: nn.Module, embedding: TokenEmbedding) -> Places:
    """Where a model holds the module that replaced its token table."""
    modules = list(model.named_modules(remove_duplicate=False))
    inputs = tuple(path for path, module in modules if module is embedding)
    heads = tuple(
        path
        for path, module in modules
        if isinstance(module, PassedTableHead) or (isinstance(module, TiedHead) and module.embedding is embedding)
    )
    return Places(inputs, heads)


def put(model: PreTrainedModel, embedding: TokenEmbedding, places: Places) -> None:
    """Put one module in all places of the token table.

    Raises:
        ModelError: If the model would then use it in place of another table too.
    """
    others = {path: m for path, m in model.named_modules(remove_duplicate=False) if isinstance(m, nn.Embedding)}
    with suppress(NotImplementedError):  # two models in one: the places are set one by one anyway
        model.set_input_embeddings(embedding)
    for path in places.inputs:
        _set(model, path, embedding)
    for path in places.heads:
        _set(model, path, tied_to(model.get_submodule(path), embedding))
    lost = [path for path in others if path not in places.inputs and model.get_submodule(path) is embedding]
    if lost:
        raise ModelError(
            f"{model.config.model_type} has different tables in {lost[0]} and {places.inputs[0]}, and one module "
            "cannot replace both; copy the weights of one to the other and call model.tie_weights() first"
        )
    settle(model, places)


def settle(model: PreTrainedModel, places: Places) -> None:
    """Tell transformers what is shared now, and that the size of the vocabulary is fixed."""
    for prefix, part in model.named_modules():
        if isinstance(part, PreTrainedModel):
            _declare(part, f"{prefix}." if prefix else "", places)
            vars(part)["resize_token_embeddings"] = _refuse_resizing


def note(model: PreTrainedModel, blueprint: Mapping[str, Any]) -> None:
    """Write a blueprint into the configuration of a model, and of parts of it that have their own (T5)."""
    for part in model.modules():
        if isinstance(part, PreTrainedModel) and (part is model or holds_ours(part)):
            part.config.embfact = dict(blueprint)


def holds_ours(part: nn.Module) -> bool:
    """Whether a model, or a part of one, looks tokens up in a module that replaced a table."""
    return any(isinstance(module, TokenEmbedding | ProjectedBlock) for module in part.modules())


def _set(model: nn.Module, path: str, module: nn.Module) -> None:
    owner, _, name = path.rpartition(".")
    setattr(model.get_submodule(owner), name, module)


def _declare(part: PreTrainedModel, prefix: str, places: Places) -> None:
    """Declare the weights that a part of a model shares, for `tie_weights` and `save_pretrained`."""
    gone = {f"{path.removeprefix(prefix)}.weight" for path in places.inputs + places.heads if path.startswith(prefix)}
    for name in ("_tied_weights_keys", "all_tied_weights_keys"):
        tied = getattr(part, name, None)
        if isinstance(tied, Mapping):
            setattr(part, name, {target: source for target, source in tied.items() if not gone & {target, source}})
    first, *copies = [path.removeprefix(prefix) for path in places.inputs if path.startswith(prefix)] or [""]
    if copies:
        # Patterns, since the tensors of the module have other names once they are stored smaller.
        patterns = {_below(path): _below(first) for path in copies}
        part._tied_weights_keys = {**(part._tied_weights_keys or {}), **patterns}


def _below(path: str) -> str:
    return path.replace(".", r"\.") + r"\."


def _refuse_resizing(*args: Any, **kwargs: Any) -> None:
    raise ModelError(
        "the vocabulary of a compressed model has a fixed size; call resize_token_embeddings on the dense model, then "
        "compress it"
    )
