"""The files of a saved model: config.json with a blueprint, and safetensors."""

from __future__ import annotations

import copy
import json
import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import split_torch_state_dict_into_shards
from safetensors.torch import save_file
from transformers import PreTrainedModel

from embfact.embeddings.base import TokenEmbedding
from embfact.embeddings.build import describe_embedding
from embfact.errors import ModelError
from embfact.models import auto_map
from embfact.models.backbones import is_compressed
from embfact.models.compress import embedding_tensors
from embfact.models.sharing import places_of
from embfact.models.size import unique_tensors
from embfact.models.static import OWN
from embfact.models.structure import check_plain, dense_twin, structure_error, ties_itself
from embfact.models.table import token_embedding
from embfact.models.weight_files import INDEX

GENERATION = "generation_config.json"
# transformers prints this after "the transformers file in the config seems to be incorrect", whichever class reads it
# and whatever its options; otherwise it would draw the table, or a head that it does not know, at random.
REMEDY = "load this directory with embfact.from_pretrained(DIRECTORY), or add trust_remote_code=True"
BY_HAND = "build this model, compress it as before, and call safetensors.torch.load_model(model, FILE, strict=False)"


class ModelFiles:
    """The files to write for a model.

    Args:
        model: A model of transformers, compressed or dense.
        state_dict: Its tensors, if they are not those in it, as when a trainer that shards them gathers them.

    Attributes:
        detail: Why `embfact.from_pretrained` could not build the model again; None if it can.

    Raises:
        ModelError: If there are weights that a file cannot hold.
    """

    def __init__(self, model: PreTrainedModel, state_dict: Mapping[str, Any] | None = None):
        kind = type(model).__name__
        self._state = unique_tensors(model) if state_dict is None else _gathered(model, state_dict)
        self.model, self.detail = model, structure_error(model, self._state)
        check_plain(model, self._state)
        if any(tensor.is_meta for tensor in self._state.values()):
            raise ModelError(f"this {kind} is on the meta device and has no values; load its weights first")
        self.config = copy.deepcopy(model.config)
        self.config.architectures = [kind]
        self.config.dtype = _dtype(model)
        self._blueprint = blueprint_of(model)
        if self._blueprint is None:
            vars(self.config).pop("embfact", None)
        else:
            self.config.embfact = self._blueprint
        self._plain = self._is_plain(kind)

    def write(self, folder: Path, max_shard_size: int | str | None = None) -> None:
        """Write them into an empty folder, in one file of weights or in shards of a size in bytes or like ``"5GB"``."""
        if not self._plain and self.detail is None:
            auto_map.write(self.config, folder)
        self.config.save_pretrained(folder)
        if self.model.can_generate():
            self.model.generation_config.save_pretrained(folder)
        state = dict(self._state)
        if not self._plain:
            _refuse_plain_loading(folder / "config.json", REMEDY if self.detail is None else BY_HAND)
            if self._blueprint:
                # Replaces the dense table for loaders that ignore the configuration: they fail at its size.
                state.setdefault(f"{self._blueprint['inputs'][0]}.weight", torch.empty(0))
        self._write_weights(folder, state, max_shard_size)

    def _is_plain(self, kind: str) -> bool:
        """Whether transformers alone gives the same model."""
        if kind in OWN or is_compressed(self.config.to_dict()):
            return False
        heads = tuple((self._blueprint or {}).get("heads") or ())
        twin = dense_twin(self.model) if heads else None
        return not heads or (twin is not None and ties_itself(twin, heads))

    def _write_weights(self, folder: Path, state: dict[str, torch.Tensor], max_shard_size: int | str | None) -> None:
        whole = sum(tensor.numel() * tensor.element_size() for tensor in state.values())
        split = split_torch_state_dict_into_shards(
            state, filename_pattern="model{suffix}.safetensors", max_shard_size=max_shard_size or whole + 1
        )
        for file, names in split.filename_to_tensors.items():
            save_file({name: _alone(state[name]) for name in names}, folder / file, metadata={"format": "pt"})
            # safetensors writes private files; the weights get the permissions of their configuration.
            shutil.copymode(folder / "config.json", folder / file)
        if split.is_sharded:
            index = {"metadata": split.metadata, "weight_map": split.tensor_to_filename}
            (folder / INDEX).write_text(json.dumps(index, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def blueprint_of(model: PreTrainedModel) -> dict[str, Any] | None:
    """The blueprint of the model as it is now: it may be part of a larger one, or cast to another dtype since."""
    blueprint, embedding = getattr(model.config, "embfact", None), token_embedding(model)
    if not blueprint or not isinstance(embedding, TokenEmbedding) or "adapter" in blueprint:
        return blueprint or None
    places = places_of(model, embedding)
    return {**blueprint, **places.as_json(), "embedding": describe_embedding(embedding)}


def _refuse_plain_loading(path: Path, words: str) -> None:
    # Not in the configuration object, which drops this key when it is saved.
    values = json.loads(path.read_text(encoding="utf-8")) | {"transformers_weights": words}
    path.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _gathered(model: PreTrainedModel, state_dict: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """The tensors of a state dict under the names to write; every other tensor of the model is tied to one of them."""
    given = {name.removeprefix("module.").removeprefix("_orig_mod."): value for name, value in state_dict.items()}
    wanted = unique_tensors(model)
    if missing := [name for name in wanted if not isinstance(given.get(name), torch.Tensor)]:
        raise ModelError(
            f"state_dict lacks {len(missing)} weights of the {type(model).__name__} (first: {missing[0]}); leave it out"
        )
    if unknown := sorted(given.keys() - model.state_dict().keys()):
        raise ModelError(f"state_dict has {unknown[0]}, which is not a weight of {type(model).__name__}; leave it out")
    return {name: given[name] for name in wanted}


def _dtype(model: PreTrainedModel) -> torch.dtype:
    """The dtype of most weights besides the token embedding, which may have another one."""
    embedding = set(embedding_tensors(model))
    counts: Counter[torch.dtype] = Counter()
    for name, tensor in unique_tensors(model).items():
        if name not in embedding and tensor.is_floating_point():
            counts[tensor.dtype] += tensor.numel()
    return counts.most_common(1)[0][0] if counts else model.dtype


def _alone(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor in its own memory, as a file needs it."""
    tensor = tensor.detach()
    whole = tensor.is_contiguous() and tensor.untyped_storage().nbytes() == tensor.numel() * tensor.element_size()
    return tensor if whole else tensor.clone(memory_format=torch.contiguous_format)
