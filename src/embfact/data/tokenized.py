"""Token ids of texts, computed once and stored in a memory-mapped Arrow file."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from embfact.data.rows import TEXT_COLUMNS
from embfact.system.atomic import replacing_file
from embfact.system.lock import built_once

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

log = logging.getLogger(__name__)

FORMAT = 1  # part of the file names: raise it when the content of the files changes
ROWS_AT_ONCE = 10_000  # bounds the memory of the tokenizer
CHECKSUM = b"crc32"


@dataclass(frozen=True)
class Tokenized:
    """Rows as token ids, including special tokens, without padding.

    Attributes:
        ids: Row ids of the texts, int64, shape ``(n,)``.
        labels: Class codes (int64) or targets (float64), shape ``(n,)``; None if they are hidden.
        lengths: Tokens of each row, int64, shape ``(n,)``.
        tokens: Token ids of all rows one after another, int32, shape ``(sum of lengths,)``.
        types: Token type ids in the same order, or None if the model takes none.
    """

    ids: np.ndarray
    labels: np.ndarray | None
    lengths: np.ndarray
    tokens: np.ndarray
    types: np.ndarray | None

    def __len__(self) -> int:
        return len(self.lengths)

    def row(self, index: int) -> np.ndarray:
        """Token ids of one row, shape ``(lengths[index],)``."""
        return self.tokens[self._span(index)]

    def type_row(self, index: int) -> np.ndarray | None:
        """Token type ids of one row, or None if the model takes none."""
        return None if self.types is None else self.types[self._span(index)]

    def token_counts(self, vocab_size: int) -> np.ndarray:
        """Occurrences of each token, including special tokens, float64, shape ``(vocab_size,)``.

        Raises:
            ValueError: If a token id is outside of the vocabulary.
        """
        counts = np.bincount(self.tokens, minlength=vocab_size)
        if len(counts) > vocab_size:
            raise ValueError(
                f"token id {len(counts) - 1} is outside of the table's {vocab_size} rows; "
                "use the tokenizer that belongs to the backbone"
            )
        return counts.astype(np.float64)

    def _span(self, index: int) -> slice:
        return slice(self._ends[index] - self.lengths[index], self._ends[index])

    @cached_property
    def _ends(self) -> np.ndarray:
        return np.cumsum(self.lengths)


def tokenize(
    table: pa.Table, tokenizer: PreTrainedTokenizerBase, max_length: int, cache_dir: str | os.PathLike[str]
) -> Tokenized:
    """Token ids of every row, from the cache if the same texts were tokenised in the same way before.

    Args:
        table: Rows of `embfact.data.text.TextData`.
        tokenizer: The backbone's tokenizer.
        max_length: Tokens that a text (or a pair, the longer side first) is truncated to, including special tokens.
        cache_dir: Folder of the cache; the file is ``tokens/<sha256>.arrow`` in it.

    Returns:
        The token ids, memory-mapped, with the ids and labels of the table.
    """
    path = Path(cache_dir).expanduser() / "tokens" / f"{_key(table, tokenizer, max_length)}.arrow"
    cached = _open(path)
    if cached is None:
        with built_once(path):
            cached = _open(path)
            if cached is None:
                if path.exists():
                    log.warning("%s is damaged; the texts are tokenised again", path)
                cached = _kept(path, _encode(table, tokenizer, max_length))
    labels = table.column("label")
    return Tokenized(
        ids=table.column("id").to_numpy(),
        labels=None if labels.null_count else labels.to_numpy(),
        lengths=pc.list_value_length(cached.column("tokens")).to_numpy().astype(np.int64),
        tokens=_flat(cached, "tokens"),
        types=_flat(cached, "types") if "types" in cached.schema.names else None,
    )


def _key(table: pa.Table, tokenizer: PreTrainedTokenizerBase, max_length: int) -> str:
    """Everything that the token ids depend on; labels are not part of it."""
    digest = hashlib.sha256(json.dumps([FORMAT, max_length, _settings(tokenizer)], sort_keys=True).encode())
    for name in TEXT_COLUMNS:
        if name in table.column_names:
            digest.update(pc.binary_length(table.column(name)).to_numpy().tobytes())
            digest.update("".join(table.column(name).to_pylist()).encode())
    return digest.hexdigest()


def _settings(tokenizer: PreTrainedTokenizerBase) -> list[Any]:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    # Without its first fields, truncation and padding, which change with use. It is not parsed: for a vocabulary of
    # 30,000 words that would take a tenth of a second in every run.
    serialized = "" if backend is None else backend.to_str()
    return [
        type(tokenizer).__name__,
        dict(tokenizer.get_vocab()) if backend is None else serialized.partition('"added_tokens"')[2] or serialized,
        {name: str(token) for name, token in tokenizer.special_tokens_map.items()},
        tokenizer.truncation_side,
        list(tokenizer.model_input_names),
    ]


def _encode(table: pa.Table, tokenizer: PreTrainedTokenizerBase, max_length: int) -> pa.RecordBatch:
    with_types = "token_type_ids" in tokenizer.model_input_names
    tokens: list[np.ndarray] = []
    types: list[np.ndarray] = []
    for start in range(0, table.num_rows, ROWS_AT_ONCE):
        part = table.slice(start, ROWS_AT_ONCE)
        texts = [part.column(name).to_pylist() for name in TEXT_COLUMNS if name in part.column_names]
        encoded = tokenizer(
            *texts,
            truncation=True,
            max_length=max_length,
            return_attention_mask=False,
            return_token_type_ids=with_types,
        )
        tokens += [np.asarray(row, dtype=np.int32) for row in encoded["input_ids"]]
        types += [np.asarray(row, dtype=np.int8) for row in encoded["token_type_ids"]] if with_types else []
    columns = {"tokens": _lists(tokens)} | ({"types": _lists(types)} if with_types else {})
    return pa.RecordBatch.from_pydict(columns)


def _lists(rows: list[np.ndarray]) -> pa.ListArray:
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(np.concatenate(rows)))


def _flat(batch: pa.RecordBatch, name: str) -> np.ndarray:
    return batch.column(name).flatten().to_numpy(zero_copy_only=True)


def _checksum(batch: pa.RecordBatch) -> bytes:
    value = 0
    for column in batch.columns:
        for buffer in (column.offsets.buffers()[1], column.values.buffers()[1]):
            value = zlib.crc32(buffer, value)
    return str(value).encode()


def _kept(path: Path, batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch, memory-mapped, or as it is if it cannot be stored."""
    schema = batch.schema.with_metadata({CHECKSUM: _checksum(batch)})
    try:
        with replacing_file(path) as temporary, pa.ipc.new_file(str(temporary), schema) as writer:
            writer.write_batch(batch.cast(schema))
    except OSError as error:
        log.warning("%s cannot be written, every run tokenises its texts (set EMBFACT_CACHE_DIR): %s", path, error)
    return _open(path) or batch


def _open(path: Path) -> pa.RecordBatch | None:
    """The memory-mapped content of a cache file, or None if it is missing or corrupt."""
    try:
        with pa.ipc.open_file(pa.memory_map(str(path))) as reader:
            batch = reader.get_batch(0)
            whole = (reader.schema.metadata or {}).get(CHECKSUM) == _checksum(batch)
    except (OSError, pa.ArrowException, IndexError):
        return None
    return batch if whole else None
