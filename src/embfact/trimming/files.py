"""The files of a tokenizer, rewritten for fewer tokens."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from embfact.trimming.tokenizer import Tokenizer

WHOLE = "tokenizer.json"
# Settings without ids. Those that slow tokenizers alone read, sentencepiece models, are left out: transformers then
# reads tokenizer.json, as other engines always do.
_COPIED = ("special_tokens_map.json", "chat_template.jinja")


def write_tokenizer(
    tokenizer: Tokenizer, content: Mapping[str, Any], old_ids: Sequence[int], source: Path, folder: Path
) -> None:
    """Write the files of a trimmed tokenizer; those that its source does not have are not made up.

    Args:
        tokenizer: The whole tokenizer.
        content: The content of its trimmed tokenizer.json.
        old_ids: Old ids in the order of the new ones.
        source: Folder of the whole one.
        folder: Where to write.
    """
    new_ids = {old: new for new, old in enumerate(old_ids)}
    (folder / WHOLE).write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    for name in _COPIED:
        if (source / name).is_file():
            (folder / name).write_bytes((source / name).read_bytes())
    if settings := _read(source / "tokenizer_config.json"):
        if decoder := settings.get("added_tokens_decoder"):
            settings["added_tokens_decoder"] = {str(new_ids[int(old)]): token for old, token in decoder.items()}
        _write(folder / "tokenizer_config.json", settings)
    if (source / "added_tokens.json").is_file():
        added = {token: new_ids[old] for token, old in tokenizer.added.items() if token not in tokenizer.vocabulary.ids}
        _write(folder / "added_tokens.json", added)
    pieces = content["model"]["vocab"]
    if (source / "vocab.txt").is_file():
        (folder / "vocab.txt").write_text("".join(f"{piece}\n" for piece in pieces), encoding="utf-8")
    if (source / "vocab.json").is_file():
        _write(folder / "vocab.json", pieces)
    if (source / "merges.txt").is_file():
        merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in content["model"].get("merges", [])]
        (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]), encoding="utf-8")


def _read(path: Path) -> dict[str, Any] | None:
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None


def _write(path: Path, values: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(values, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
