"""Measuring the figures of a table, with the same tokens and texts for all tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from embfact.analysis.clusters import SEED, Clusters, agreement, cluster
from embfact.analysis.figures import ClusterFigures, GroupFigures, TableFigures, TextFigures
from embfact.analysis.frequency import UNSEEN, frequency_groups, share_of, squares
from embfact.analysis.spectrum import spectrum
from embfact.analysis.texts import Texts, token_means
from embfact.analysis.variants import Variant
from embfact.analysis.vocabulary import Vocabulary

NEIGHBOURS = 10
_BLOCK = 512  # queries at once: tens of megabytes of scores

QUERIES = 300  # tokens per group whose neighbours are searched
BACKGROUND = 200  # other tokens shown on the plane beside the named words


@dataclass(frozen=True)
class Structure:
    """Structure of a table, to be compared with that of the dense table.

    Attributes:
        neighbours: Per frequency group, the neighbours of its queries; last, those of the named words.
        plane: All words on two principal components.
        clusters: Clusters of the words that occur.
    """

    neighbours: Sequence[np.ndarray]
    plane: Plane
    clusters: Clusters


class Measurement:
    """Measures tables against the dense table, all on the same tokens and texts.

    Args:
        dense: The dense table.
        counts: Occurrences of each token in the texts that methods count, float64, shape ``(V,)``.
        weights: The same in held-out texts: the weights of errors.
        vocabulary: The tokens of its rows.
        named: Word -> id.
        texts: Labelled texts.
    """

    def __init__(
        self,
        dense: Variant,
        counts: np.ndarray,
        weights: np.ndarray,
        vocabulary: Vocabulary,
        named: Mapping[str, int],
        texts: Texts,
    ):
        self.weights = weights
        self.dense, self.counts, self.vocabulary, self.named, self.texts = dense, counts, vocabulary, named, texts
        self.groups = frequency_groups(counts, vocabulary.words)
        self.candidates = np.flatnonzero(vocabulary.words)
        draw = np.random.default_rng(SEED)
        self.queries = [_drawn(group.tokens, QUERIES, draw) for group in self.groups]
        self.background = _drawn(self.occurring, BACKGROUND, draw)

    @cached_property
    def occurring(self) -> np.ndarray:
        """Ids of the words that occur."""
        return np.concatenate([group.tokens for group in self.groups if group.name != UNSEEN])

    def figures(self, variant: Variant) -> TableFigures:
        """All figures of one table."""
        table, before, whole = variant.table, self._before, self._whole
        lost, words = squares(table, self.dense.table), self.weights * self.vocabulary.words
        found = before if variant is self.dense else self._structure(table, before.plane.scores)
        pairs = zip(before.neighbours, found.neighbours, strict=True)
        *kept, _ = [float(recall(*pair).mean()) if len(pair[0]) else 1.0 for pair in pairs]
        return TableFigures(
            name=variant.name,
            rank=variant.rank,
            parameters=variant.size.parameters,
            bytes=variant.size.bytes,
            spectrum=spectrum(table),
            weighted_spectrum=spectrum(table, self.counts),
            error=share_of(lost, whole),
            weighted_error=share_of(self.weights * lost, self.weights * whole),
            word_error=share_of(words * lost, words * whole),
            recall=self._over_occurring(kept),
            groups=tuple(
                GroupFigures(group.name, share_of(lost[group.tokens], whole[group.tokens]), share)
                for group, share in zip(self.groups, kept, strict=True)
            ),
            anisotropy=anisotropy(table[self.candidates]),
            neighbours=dict(zip(self.named, map(self._tokens, found.neighbours[-1]), strict=True)),
            explained=found.plane.explained,
            plane=dict(zip(self.named, self._places(found.plane, list(self.named.values())), strict=True)),
            background=tuple(self._places(found.plane, self.background)),
            clusters=self._described(found.clusters),
            same_clusters=agreement(
                before.clusters.labels, (self._again if found is before else found.clusters).labels
            ),
            texts=self._texts(variant),
        )

    @cached_property
    def _whole(self) -> np.ndarray:
        return squares(self.dense.table)

    @cached_property
    def _before(self) -> Structure:
        return self._structure(self.dense.table, None)

    @cached_property
    def _again(self) -> Clusters:
        return cluster(unit_rows(self.dense.table[self.occurring]), seed=SEED + 1)

    def _structure(self, table: np.ndarray, like: np.ndarray | None) -> Structure:
        asked = [*self.queries, np.array(list(self.named.values()), dtype=np.int64)]
        found = nearest(table, np.concatenate(asked), self.candidates)
        return Structure(
            neighbours=np.split(found, np.cumsum([len(ids) for ids in asked])[:-1]),
            plane=principal_plane(table[self.candidates], like),
            clusters=cluster(unit_rows(table[self.occurring])),
        )

    def _over_occurring(self, values: Sequence[float]) -> float:
        """Mean over the words that occur, from the means over their groups."""
        sizes = [len(group.tokens) * (group.name != UNSEEN) for group in self.groups]
        return float(np.average(values, weights=sizes))

    def _places(self, plane: Plane, tokens: Sequence[int] | np.ndarray) -> list[tuple[float, float]]:
        scores = plane.scores[np.searchsorted(self.candidates, tokens)]
        return [(x, y) for x, y in scores.tolist()]

    def _described(self, clusters: Clusters) -> tuple[ClusterFigures, ...]:
        counts = self.counts[self.occurring]
        return tuple(
            ClusterFigures(
                size=int((clusters.labels == number).sum()),
                share=float(counts[clusters.labels == number].sum() / counts.sum()),
                purest=self._tokens(self.occurring[clusters.purest(number)]),
            )
            for number in range(clusters.labels.max() + 1)
        )

    def _texts(self, variant: Variant) -> dict[str, TextFigures]:
        means = {"token mean": token_means(variant.table, self.texts.rows, self.vocabulary.words)}
        if variant.hidden is not None:
            means["last hidden"] = variant.hidden
        classes, labels = self.texts.classes, self.texts.rows.labels
        figures = {}
        for name, vectors in means.items():
            found = None if classes is None or labels is None else agreement(labels, cluster(vectors, classes).labels)
            figures[name] = TextFigures(found, anisotropy(vectors))
        return figures

    def _tokens(self, ids: Sequence[int] | np.ndarray) -> tuple[str, ...]:
        return tuple(self.vocabulary.tokens[token] for token in ids)


def _drawn(tokens: np.ndarray, most: int, draw: np.random.Generator) -> np.ndarray:
    return tokens if len(tokens) <= most else np.sort(draw.choice(tokens, most, replace=False))


def unit_rows(vectors: np.ndarray) -> np.ndarray:
    """Rows normalized to unit length, float32; zero rows stay zero."""
    lengths = np.sqrt(squares(vectors))[:, None]
    return (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)


def nearest(table: np.ndarray, queries: np.ndarray, candidates: np.ndarray, most: int = NEIGHBOURS) -> np.ndarray:
    """The candidates with the largest cosine to each query, excluding the query itself.

    Args:
        table: Vectors, shape ``(V, H)``.
        queries: Ids of the query rows, shape ``(q,)``.
        candidates: Ids of the rows that may be neighbours, shape ``(c,)``.
        most: Neighbours per query.

    Returns:
        Ids, nearest first, shape ``(q, k)``; k is `most`, or less if there are fewer candidates.
    """
    units = torch.from_numpy(unit_rows(table))
    rows, asked = units[candidates], units[queries]
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
    """Share of the neighbours `before` that are still neighbours `after`, per query.

    Both hold ids of shape ``(q, k)``, unique within a row; the result has the shape ``(q,)``.
    """
    return (before[:, :, None] == after[:, None, :]).any(axis=2).mean(axis=1)


def anisotropy(vectors: np.ndarray) -> float | None:
    """Mean cosine of two different vectors (Ethayarajh, "How contextual are contextualized word representations?").

    Computed over all pairs, where the paper (EMNLP 2019) draws a sample: Σ_{i≠j} u_i u_j = |Σ u_i|² - n for unit
    vectors u. Zero vectors of the ``(n, H)`` have no direction and are left out.

    Returns:
        The mean, from about 0 (no common direction) to 1; None if fewer than two vectors have a direction.
    """
    lengths = np.sqrt(squares(vectors))
    count = int(np.count_nonzero(lengths))
    if count < 2:
        return None
    total = np.divide(1, lengths, out=np.zeros_like(lengths), where=lengths > 0) @ vectors.astype(np.float64)
    return float((total @ total - count) / (count * (count - 1)))


@dataclass(frozen=True)
class Plane:
    """Vectors projected onto their first two principal components.

    Attributes:
        scores: Coordinates, shape ``(n, 2)``.
        explained: Share of the variance along each component.
    """

    scores: np.ndarray
    explained: tuple[float, float]


def principal_plane(vectors: np.ndarray, like: np.ndarray | None = None) -> Plane:
    """Principal component analysis in two dimensions.

    The sign of a component is arbitrary. It is chosen so that the scores are skewed to the right, or so that they agree
    with those of another plane; the same vectors in other coordinates then get the same scores.

    Args:
        vectors: Shape ``(n, H)``, n and H at least 2.
        like: Scores of the same n tokens in another table, shape ``(n, 2)``.

    Raises:
        ValueError: If n or H is less than 2.
    """
    centred = vectors - vectors.mean(axis=0, dtype=np.float64)
    if min(centred.shape) < 2:
        raise ValueError(
            f"a plane needs at least two vectors and two dimensions (found {centred.shape[0]} x {centred.shape[1]})"
        )
    variances, axes = np.linalg.eigh(centred.T @ centred)
    scores = centred @ axes[:, [-1, -2]]
    signs = np.sign((scores**3).sum(axis=0) if like is None else (scores * like).sum(axis=0))
    first, second = (variances[[-1, -2]] / max(variances.sum(), np.finfo(float).tiny)).tolist()
    return Plane(scores * np.where(signs < 0, -1, 1), (first, second))
