"""Trimming a pretrained model: fewer tokens, a tokenizer that knows only these, and a folder that stock code loads."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import pyarrow as pa
import torch
from transformers import PreTrainedModel

from embfact import __version__
from embfact.compression.broken_texts import BrokenTexts, broken_texts
from embfact.compression.factorize import load_dense, table_of
from embfact.compression.trim_files import (
    model_folder,
    named_ids,
    read_tokenizer,
    tokenizer_bytes,
    tokenizer_folder,
    write_model,
)
from embfact.compression.trim_request import RECORD, TrimRequest
from embfact.config.run_config import RunConfig
from embfact.config.sections import TRAINING
from embfact.data.text import TextData, load_text
from embfact.data.tokenized import tokenize
from embfact.embeddings.layout import Size
from embfact.evidence.collection import read_corpus
from embfact.models.checkpoint import replacing_directory
from embfact.models.compress import embedding_tensors
from embfact.models.json_file import read_json
from embfact.models.kept_rows import keep_rows
from embfact.models.loading import load_tokenizer, own_memory, quiet
from embfact.models.size import model_size
from embfact.trimming.files import write_tokenizer
from embfact.trimming.selection import select

WHOLE_TEXTS = 1_000_000  # tokens: texts are counted to their ends


@dataclass(frozen=True)
class Trimming:
    """What was done.

    Attributes:
        model: Name of the model.
        tokens: Tokens before and after.
        needed: Tokens that were kept whatever the texts: special ones, letters, bytes.
        embedding: Size of the token table before and after.
        whole: Size of the model before and after.
        tokenizer_bytes: Bytes of the tokenizer's files before and after.
        texts: What it does to texts.
    """

    model: str
    tokens: tuple[int, int]
    needed: int
    embedding: tuple[Size, Size]
    whole: tuple[Size, Size]
    tokenizer_bytes: tuple[int, int]
    texts: tuple[BrokenTexts, ...]


def trim(request: TrimRequest, say: Callable[[str], None]) -> Trimming:
    """Write a model with fewer tokens; `say` prints the progress.

    Raises:
        UserError: If model or data cannot be used, or the criteria do not fit; nothing is half-written.
    """
    config = request.config
    if config.trainer.threads:
        torch.set_num_threads(config.trainer.threads)
    model, tokenizer = load_dense(config.model)
    rows = table_of(model, tokenizer).num_embeddings
    home, source = model_folder(config.model), tokenizer_folder(config.model)
    values = read_json(home / "config.json", f"model {config.model.label}")
    whole = read_tokenizer(source, tokenizer)
    text = load_text(config.data, config.paths.data_dir, config.paths.cache_dir, seed=config.seed)
    corpus, counted = _corpus(config, text)
    counts = tokenize(counted, tokenizer, WHOLE_TEXTS, config.paths.cache_dir).token_counts(rows)
    say(f"counted {int(counts.sum()):,} tokens in {corpus}")
    kept, needed = select(whole, cast(list[float], counts.tolist()), request.criteria, named_ids(values))
    content, old_ids = whole.trimmed(kept)
    before = _sizes(model)
    own_memory(model)
    keep_rows(model, old_ids)
    after = _sizes(model)
    with replacing_directory(request.output.absolute()) as folder:
        write_model(model, values, old_ids, home, folder)
        write_tokenizer(whole, content, old_ids, source, folder)
        with quiet():
            trimmed = load_tokenizer(str(folder), trust_remote_code=False)
        done = Trimming(
            model=config.model.label,
            tokens=(len(whole), len(old_ids)),
            needed=needed,
            embedding=(before[0], after[0]),
            whole=(before[1], after[1]),
            tokenizer_bytes=(tokenizer_bytes(source), tokenizer_bytes(folder)),
            texts=tuple(
                broken_texts(name, part, tokenizer, trimmed, kept)
                for name, part in {f"counted: {corpus}": counted, **_unseen(text)}.items()
            ),
        )
        files = sorted([RECORD, *(path.name for path in folder.iterdir())])
        record = {"embfact": __version__, **asdict(done), "criteria": asdict(request.criteria), "files": files}
        record["old_ids"] = old_ids
        (folder / RECORD).write_text(json.dumps(record) + "\n", encoding="utf-8")
    return done


def _corpus(config: RunConfig, text: TextData) -> tuple[str, pa.Table]:
    """The texts to count, and what they are, in words."""
    if config.evidence.file:
        return Path(config.evidence.file).name, read_corpus(Path(config.evidence.file), config.data.text)
    rows = text.train if config.evidence.source == TRAINING else text.train_all
    return f"{len(rows):,} rows of {config.data.name}", rows


def _unseen(text: TextData) -> dict[str, pa.Table]:
    """Texts that were not counted, by their names."""
    held_out = {} if text.selection is None else {"held out": text.selection}
    return {**held_out, **text.reports}


def _sizes(model: PreTrainedModel) -> tuple[Size, Size]:
    """Of the token table, and of the model."""
    return model_size(model, embedding_tensors(model)), model_size(model)
