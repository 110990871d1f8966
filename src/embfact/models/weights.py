"""Loading weights from safetensors files into a freshly built model, however its modules share tensors."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn
from transformers import PreTrainedModel

from embfact.errors import ModelError
from embfact.models.size import memory_key

log = logging.getLogger(__name__)


def read_weights(files: Sequence[Path]) -> dict[str, torch.Tensor]:
    """The tensors of a checkpoint, from its file or its shards.

    Raises:
        ModelError: If one of them is damaged.
    """
    state: dict[str, torch.Tensor] = {}
    for path in files:
        try:
            state |= load_file(path)
        except (SafetensorError, OSError) as error:
            words = (str(error).strip() or type(error).__name__).split("\n")[0][:200]
            raise ModelError(f"{path} is damaged or truncated ({words}); save it again") from None
    return state


def fill(model: nn.Module, state: Mapping[str, torch.Tensor], directory: Path) -> None:
    """Give a model of the saved structure the weights of a checkpoint, with the dtypes of its files.

    A tensor that is saved under one name goes to all modules that share it in the model.

    Raises:
        ModelError: With their directory, if they are not exactly the weights of the model.
    """
    # Weights that transformers leaves out of a file (sinusoidal positions of Marian) stay as they were built.
    built = getattr(model, "_keys_to_ignore_on_save", None) or ()
    missing = [name for name in _assign(model, state, directory) if name not in built]
    # A tensor without elements only marks the place of the dense table.
    unexpected = sorted({name for name, tensor in state.items() if tensor.numel()} - model.state_dict().keys())
    for words, names in (("lacks", missing), ("has no place for", unexpected)):
        if names:
            raise ModelError(
                f"{directory} {words} {len(names)} weights of its config.json (first: {names[0]}); save it again"
            )


def fill_backbone(
    model: PreTrainedModel, saved: Mapping[str, torch.Tensor], directory: Path, *, new_head: bool = False
) -> None:
    """Give the backbone of a model the weights of a checkpoint that may hold another head, as transformers does.

    Names with and without the prefix of the backbone are the same. A head that the checkpoint does not have, or with
    ``new_head`` has in another size (e.g. for more labels), keeps the weights it was built with, and a warning names
    it.

    Raises:
        ModelError: With their directory, if they lack a weight of the backbone, or have a head of another size.
    """
    prefix = f"{model.base_model_prefix}."
    own = prefix if model.base_model is not model else ""
    state = {}
    for name, weight in model.state_dict().items():
        names = (name, f"{prefix}{name}", name.removeprefix(prefix))
        found = next((saved[candidate] for candidate in names if candidate in saved), None)
        if found is None or (new_head and not name.startswith(own) and found.shape != weight.shape):
            continue
        if not name.startswith(own) and found.shape != weight.shape:
            raise ModelError(
                f"{directory} has {name} of shape {tuple(found.shape)}, and a {type(model).__name__} of this "
                f"configuration {tuple(weight.shape)}; pass ignore_mismatched_sizes=True for a new head"
            )
        state[name] = found
    missing = _assign(model, state, directory)
    # A pooler is absent from checkpoints of models that were trained without one.
    needed = [name for name in missing if name.startswith(own) and "pooler" not in name]
    if needed:
        raise ModelError(
            f"{directory} lacks {len(needed)} weights of a {type(model).__name__} (first: {needed[0]}); load it with "
            "the class that it was saved from"
        )
    if missing:
        log.warning("%s has no weights for %s; they are new and have to be trained", directory, ", ".join(missing))


def _assign(model: nn.Module, state: Mapping[str, torch.Tensor], directory: Path) -> list[str]:
    """Put the tensors into the model; returns the names of the weights that are missing."""
    shared: dict[Hashable, list[str]] = {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        shared.setdefault(memory_key(tensor), []).append(name)
    try:
        # Assigning keeps the dtypes of the file, e.g. of a float16 table inside a float32 model.
        model.load_state_dict(state, strict=False, assign=True)
    except RuntimeError as error:
        words = str(error).strip().split("\n")[-1].strip()[:200]
        raise ModelError(f"{directory} does not fit its config.json ({words}); save both again") from None
    missing = []
    for names in shared.values():
        source = next((name for name in names if name in state), None)
        if source is None:
            missing.append(names[0])
            continue
        owner, _, attribute = source.rpartition(".")
        tensor = getattr(model.get_submodule(owner), attribute)
        for name in names:
            if name not in state:
                owner, _, attribute = name.rpartition(".")
                setattr(model.get_submodule(owner), attribute, tensor)
    return missing
