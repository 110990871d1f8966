"""Nearest neighbours by cosine, and how many of them are kept."""

from __future__ import annotations

import numpy as np
import torch

NEIGHBOURS = 10
_BLOCK = 512  # queries at once: their scores are some ten megabytes


def unit_rows(vectors: np.ndarray) -> np.ndarray:
    """Rows at length one, float32; a row of zeros stays."""
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    return (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)


def nearest(table: np.ndarray, queries: np.ndarray, candidates: np.ndarray, most: int = NEIGHBOURS) -> np.ndarray:
    """The candidates of the largest cosine to each query, the query itself left out.

    Args:
        table: Vectors, shape ``(V, H)``.
        queries: Ids of the rows whose neighbours are looked for, shape ``(q,)``.
        candidates: Ids of the rows that may be neighbours, shape ``(c,)``.
        most: How many of them.

    Returns:
        Ids, the nearest first, shape ``(q, k)``; k is `most`, or less where there are not so many candidates.
    """
    rows = torch.from_numpy(unit_rows(table[candidates]))
    asked = torch.from_numpy(unit_rows(table[queries]))
    places = torch.full((len(table),), -1)
    places[candidates] = torch.arange(len(candidates))
    found = []
    for block, ids in zip(asked.split(_BLOCK), torch.from_numpy(queries).split(_BLOCK), strict=True):
        scores = block @ rows.T
        own = places[ids]
        among = (own >= 0).nonzero().squeeze(1)
        scores[among, own[among]] = -torch.inf
        found.append(scores.topk(min(most, len(candidates) - 1)).indices)
    return candidates[torch.cat(found).numpy()]


def recall(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Share of the neighbours before that are neighbours after, for each query.

    Args:
        before: Ids, shape ``(q, k)``, each once in a line.
        after: Ids, shape ``(q, k)``.

    Returns:
        Shares from 0 to 1, shape ``(q,)``.
    """
    return (before[:, :, None] == after[:, None, :]).any(axis=2).mean(axis=1)
