"""Which files of a checkpoint directory hold its weights. Light to import: no torch, no transformers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from embfact.errors import ModelError
from embfact.models import word_vectors
from embfact.models.json_file import read_json

WEIGHTS = "model.safetensors"
INDEX = f"{WEIGHTS}.index.json"


def weight_files(directory: Path) -> list[Path]:
    """The safetensors files that transformers reads the weights of a checkpoint directory from, or word vectors.

    That is the file named in config.json, else model.safetensors, else the shards of its index. Anything else is
    ignored: older shards, another precision, a pickle.

    Raises:
        ModelError: If there are none, or some are missing; pickled weights are not read, since loading them can run
            code.
    """
    if word_vectors.is_here(directory):
        return word_vectors.files(directory)
    named = _named_weights(directory)
    for path in [directory / named] if named else [directory / WEIGHTS, directory / INDEX]:
        if path.is_file():
            return _shards(path) if path.name.endswith(".index.json") else [path]
    if named:
        raise ModelError(f"{directory} has no {named}, which its config.json names; download or save it again")
    pickled = sorted(path.name for pattern in ("*.bin", "*.pt", "*.pth", "*.ckpt") for path in directory.glob(pattern))
    if pickled:
        raise ModelError(
            f"{directory} has its weights only in {pickled[0]}, a pickle, which is not loaded since it can run code; "
            "convert it to model.safetensors"
        )
    raise ModelError(f"{directory} has no model.safetensors; give the directory of a saved model")


def _named_weights(directory: Path) -> str | None:
    """The file that a configuration names; what `embfact.models.files` writes there is not a file."""
    try:
        named = json.loads((directory / "config.json").read_text(encoding="utf-8")).get("transformers_weights")
    except (OSError, ValueError, AttributeError):  # reported by whoever needs the configuration
        return None
    is_file = isinstance(named, str) and named.endswith((".safetensors", ".safetensors.index.json"))
    return named if is_file and _lies_below(named) else None


def _shards(index: Path) -> list[Path]:
    """The files in the index of a sharded checkpoint.

    Raises:
        ModelError: If it is damaged, or one of them is missing.
    """
    names = read_json(index, "the checkpoint").get("weight_map")
    found = sorted(set(names.values())) if isinstance(names, dict) and all(map(_lies_below, names.values())) else []
    if not found:
        raise ModelError(f"{index} names no files of weights; download or save the model again")
    missing = [name for name in found if not (index.parent / name).is_file()]
    if missing:
        raise ModelError(
            f"{index.parent} lacks {len(missing)} of the {len(found)} files that {index.name} names "
            f"(first: {missing[0]}); download or save the model again"
        )
    return [index.parent / name for name in found]


def _lies_below(name: Any) -> bool:
    return isinstance(name, str) and not Path(name).is_absolute() and ".." not in Path(name).parts
