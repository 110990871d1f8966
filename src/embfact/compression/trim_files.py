"""The folder of a pretrained model, read and written again with fewer tokens."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from embfact.config.sections import ModelConfig
from embfact.errors import ModelError
from embfact.models.backbones import OFFSET_POSITIONS, has_own_tokenizer, hub_commit, origin_of, tokenizer_origin
from embfact.models.files import GENERATION, ModelFiles
from embfact.models.json_file import read_json
from embfact.models.kept_rows import renumbered, special_ids
from embfact.models.tokenizer_files import TOKENIZER_FILES
from embfact.trimming.files import WHOLE
from embfact.trimming.tokenizer import Tokenizer

# How sentence-transformers puts tokens together; the folders of its modules are named in the first of them.
SENTENCE_FILES = ("modules.json", "config_sentence_transformers.json", "sentence_bert_config.json")


def model_folder(model: ModelConfig) -> Path:
    """The folder of a model, which may be its copy in the cache of the hub."""
    return _local(origin_of(model), model.revision)


def tokenizer_folder(model: ModelConfig) -> Path:
    """The folder of its tokenizer."""
    return _local(tokenizer_origin(model), model.revision if has_own_tokenizer(model) else None)


def read_tokenizer(folder: Path, tokenizer: PreTrainedTokenizerBase) -> Tokenizer:
    """The content of a tokenizer.json, or what transformers makes of the files of a slow tokenizer.

    Raises:
        ModelError: If there is none, or its model is of a kind without smaller pieces.
    """
    if (folder / WHOLE).is_file():
        found = Tokenizer(read_json(folder / WHOLE, "the tokenizer"))
    elif backend := getattr(tokenizer, "backend_tokenizer", None):
        found = Tokenizer(json.loads(backend.to_str()))
    else:
        raise ModelError(f"{folder} has no {WHOLE}, and a {type(tokenizer).__name__} has none either; save it as one")
    found.vocabulary  # noqa: B018 refuses other kinds
    return found


def named_ids(config: Mapping[str, Any]) -> set[int]:
    """Ids that a config.json names, and for models that number positions from the padding id on, those up to it."""
    padding = config.get("pad_token_id")
    counted_from = range(padding + 1) if config.get("model_type") in OFFSET_POSITIONS and padding else ()
    return {*special_ids(config), *counted_from}


def write_model(
    model: PreTrainedModel, config: Mapping[str, Any], old_ids: Sequence[int], source: Path, folder: Path
) -> None:
    """Write weights and configuration as stock code expects them, and what sentence-transformers needs besides.

    Args:
        model: The model, whose rows were kept.
        config: The values of its config.json before.
        old_ids: Old ids in the order of the new ones.
        source: Folder of the whole model.
        folder: Where to write.

    Raises:
        ModelError: If there is more over its tokens than a table and an output layer.
    """
    files = ModelFiles(model)
    if files.detail:
        raise ModelError(f"{files.detail}, so its vocabulary cannot be trimmed; use a model of transformers")
    files.write(folder)
    new_ids = {old: new for new, old in enumerate(old_ids)}
    # That of the model has the options of this version of transformers, which others may not know.
    for name, values in (("config.json", config), (GENERATION, _values(source / GENERATION))):
        if values is not None:
            text = json.dumps(renumbered(values, _rows(config), new_ids), indent=2)
            (folder / name).write_text(f"{text}\n", encoding="utf-8")
    for name in SENTENCE_FILES:
        if (source / name).is_file():
            shutil.copy(source / name, folder / name)
    for module in (
        json.loads((source / SENTENCE_FILES[0]).read_text()) if (source / SENTENCE_FILES[0]).is_file() else ()
    ):
        if module.get("path") and (source / module["path"]).is_dir():
            shutil.copytree(source / module["path"], folder / module["path"])


def tokenizer_bytes(folder: Path) -> int:
    """Bytes of the files of a tokenizer."""
    return sum((folder / name).stat().st_size for name in TOKENIZER_FILES if (folder / name).is_file())


def _rows(config: Mapping[str, Any]) -> int:
    return int(config["vocab_size"])


def _values(path: Path) -> dict[str, Any] | None:
    return read_json(path, "the model") if path.is_file() else None


def _local(origin: Path | str | None, revision: str | None) -> Path:
    if isinstance(origin, Path):
        return origin
    named = [*TOKENIZER_FILES, "config.json", GENERATION, *SENTENCE_FILES, "*/config.json"]
    return Path(snapshot_download(str(origin), revision=hub_commit(str(origin), revision), allow_patterns=named))
