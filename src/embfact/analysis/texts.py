"""Texts as single vectors: means of their tokens' table rows, and of the backbone's last hidden states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from embfact.config.data_config import DataConfig
from embfact.data.batches import collate, sorted_batches
from embfact.data.text import TextData
from embfact.data.tokenized import Tokenized, tokenize
from embfact.kernels.swap import for_inference

MOST_TEXTS = 1000
_BATCH_SIZE = 64


@dataclass(frozen=True)
class Texts:
    """Labelled texts that were used neither for counting nor for training.

    Attributes:
        split: Their split.
        rows: Their tokens.
        classes: Number of classes; None if the labels are numbers.
    """

    split: str
    rows: Tokenized
    classes: int | None


def reported_texts(
    data: DataConfig, text: TextData, tokenizer: PreTrainedTokenizerBase, cache_dir: str, seed: int
) -> Texts:
    """At most `MOST_TEXTS` texts of the first reported split, drawn with a seed."""
    split = data.report_splits[0]
    table = text.reports[split]
    if table.num_rows > MOST_TEXTS:
        table = table.take(np.sort(np.random.default_rng(seed).choice(table.num_rows, MOST_TEXTS, replace=False)))
    rows = tokenize(table, tokenizer, data.max_length, cache_dir)
    return Texts(split, rows, None if text.label_names is None else len(text.label_names))


def token_means(table: np.ndarray, rows: Tokenized, counted: np.ndarray) -> np.ndarray:
    """Mean of the table rows of each text's tokens.

    Args:
        table: Shape ``(V, H)``.
        rows: n texts.
        counted: Which tokens count, boolean, shape ``(V,)``; special tokens say nothing about a text.

    Returns:
        Shape ``(n, H)``; zeros for a text without counted tokens.
    """
    weights = counted[rows.tokens].astype(np.float64)
    text_of = np.repeat(np.arange(len(rows)), rows.lengths)
    sums = np.zeros((len(rows), table.shape[1]))
    np.add.at(sums, text_of, table[rows.tokens] * weights[:, None])
    totals = np.bincount(text_of, weights, minlength=len(rows))
    return sums / np.maximum(totals, 1)[:, None]


def hidden_means(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, rows: Tokenized) -> np.ndarray | None:
    """Mean of a backbone's last hidden states over the tokens of each text, without padding.

    The model is left in evaluation mode.

    Returns:
        Shape ``(n, H)``; None for an encoder-decoder, whose last states do not belong to the text.
    """
    if model.config.is_encoder_decoder:
        return None
    backbone: Any = model.base_model.eval()
    means: list[tuple[list[int], np.ndarray]] = []
    with torch.inference_mode(), for_inference(backbone, backbone.device):
        for indices in sorted_batches(rows.lengths, _BATCH_SIZE):
            batch = collate(rows, indices, tokenizer.pad_token_id or 0, tokenizer.padding_side)
            batch.pop("labels", None)
            states = backbone(**batch).last_hidden_state.float()
            mask = batch["attention_mask"].unsqueeze(-1)
            means.append((indices, ((states * mask).sum(dim=1) / mask.sum(dim=1)).numpy()))
    pooled = np.empty((len(rows), means[0][1].shape[1]), dtype=np.float32)
    for indices, vectors in means:
        pooled[indices] = vectors
    return pooled
