"""What the files of a tokenizer say about its token ids. Light to import: no torch, no transformers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from embfact.errors import ModelError
from embfact.models.json_file import read_json
from embfact.trimming.tokenizer import around

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "spiece.model",
    "spm.model",
    "sentencepiece.bpe.model",
    "tokenizer.model",
)


def largest_id(find: Callable[[str], Path | None]) -> int | None:
    """The largest token id that a tokenizer can give, in its vocabulary or around a text.

    Args:
        find: Returns the path of one of its files, or None if it has no such file.

    Returns:
        The id; None if only transformers could tell (a sentencepiece model, files that are not here).

    Raises:
        ModelError: If a file is damaged.
    """
    whole, lines, words, added = map(find, ("tokenizer.json", "vocab.txt", "vocab.json", "added_tokens.json"))
    ids: list[Any] = []
    if whole is not None:
        content = read_json(whole, "the tokenizer")
        ids += _vocabulary(whole, content)
        ids += [token.get("id") for token in content.get("added_tokens") or () if isinstance(token, dict)]
        ids += around(content.get("post_processor"))
    elif lines is not None:
        ids.append(len(lines.read_bytes().splitlines()) - 1)
    elif words is not None:
        ids += read_json(words, "the tokenizer").values()
    if whole is None and ids and added is not None:
        ids += read_json(added, "the tokenizer").values()
    return max((number for number in ids if isinstance(number, int)), default=None)


def largest_id_in(directory: Path) -> int | None:
    """The largest token id of the tokenizer in a directory; see `largest_id`."""
    return largest_id(lambda name: directory / name if (directory / name).is_file() else None)


def words_in(directory: Path) -> dict[str, int] | None:
    """The id of each word of the tokenizer in a directory; None if its files do not tell.

    Raises:
        ModelError: If a file is damaged.
    """
    whole, lines, added = (directory / name for name in ("tokenizer.json", "vocab.txt", "added_tokens.json"))
    if whole.is_file():
        content = read_json(whole, "the tokenizer")
        model = content.get("model")
        words = model.get("vocab") if isinstance(model, dict) else None
        if isinstance(words, list):  # pieces with their scores, in the order of their ids
            words = {piece: place for place, (piece, *_) in enumerate(words)}
        more = {token["content"]: token["id"] for token in content.get("added_tokens") or ()}
        return words | more if isinstance(words, dict) else None
    if lines.is_file():
        words = {word: place for place, word in enumerate(lines.read_text(encoding="utf-8").split("\n")[:-1])}
        return words | (read_json(added, "the tokenizer") if added.is_file() else {})
    return None


def ids_error(largest: int, rows: int, name: str) -> str | None:
    """What is wrong with a tokenizer whose largest id is beyond the rows of the token table; None if all ids fit."""
    if largest < rows:
        return None
    return (
        f"the tokenizer of {name} gives token ids up to {largest}, but the table has the {rows} rows 0 to {rows - 1}; "
        "set model.tokenizer to the one that the model was trained with, number the tokens of tokenizer.json like the "
        f"rows, or give the table {largest + 1} rows"
    )


def _vocabulary(path: Path, content: dict[str, Any]) -> Iterable[int]:
    model = content.get("model")
    vocabulary = model.get("vocab") if isinstance(model, dict) else None
    if isinstance(vocabulary, dict):
        return vocabulary.values()
    if isinstance(vocabulary, list):  # pieces with their scores, in the order of their ids
        return range(len(vocabulary))
    raise ModelError(f"{path} has no vocabulary; give the directory of a saved tokenizer")
