"""How the figures of a table are measured, all tables at the same tokens and texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from embfact.analysis.clusters import SEED, Clusters, agreement, cluster
from embfact.analysis.figures import ClusterFigures, GroupFigures, TableFigures, TextFigures
from embfact.analysis.frequency import UNSEEN, frequency_groups, relative_error
from embfact.analysis.spectrum import spectrum
from embfact.analysis.texts import Texts, token_means
from embfact.analysis.variants import Variant
from embfact.analysis.vocabulary import Vocabulary

NEIGHBOURS = 10
_BLOCK = 512  # queries at once: their scores are some ten megabytes

QUERIES = 300  # tokens of each group whose neighbours are looked for
BACKGROUND = 200  # tokens whose place on the plane is kept, to see named words among others


@dataclass(frozen=True)
class Structure:
    """What is found in a table and compared with what is found in the dense one.

    Attributes:
        neighbours: For each frequency group the neighbours of its tokens drawn, and last those of the named words.
        plane: The words on two principal components.
        clusters: Clusters of the words that occur.
    """

    neighbours: Sequence[np.ndarray]
    plane: Plane
    clusters: Clusters


class Measurement:
    """Measures tables against the dense one, all at the same tokens and texts.

    Args:
        dense: The dense table.
        counts: Occurrences of each token, float64, shape ``(V,)``.
        vocabulary: What its rows stand for.
        named: Word -> id.
        texts: Labelled texts.
    """

    def __init__(
        self, dense: Variant, counts: np.ndarray, vocabulary: Vocabulary, named: Mapping[str, int], texts: Texts
    ):
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
        """Everything about one table."""
        table, exact, before = variant.table, self.dense.table, self._before
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
            error=relative_error(exact, table),
            weighted_error=relative_error(exact, table, self.counts),
            word_error=relative_error(exact, table, self.counts * self.vocabulary.words),
            recall=self._over_occurring(kept),
            groups=tuple(
                GroupFigures(group.name, relative_error(exact[group.tokens], table[group.tokens]), share)
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
        """The mean over the words that occur, from the means over their groups."""
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
        return {name: self._text_figures(vectors) for name, vectors in means.items()}

    def _text_figures(self, vectors: np.ndarray) -> TextFigures:
        classes, labels = self.texts.classes, self.texts.rows.labels
        found = None if classes is None or labels is None else agreement(labels, cluster(vectors, classes).labels)
        return TextFigures(found, anisotropy(vectors))

    def _tokens(self, ids: Sequence[int] | np.ndarray) -> tuple[str, ...]:
        return tuple(self.vocabulary.tokens[token] for token in ids)


def _drawn(tokens: np.ndarray, most: int, draw: np.random.Generator) -> np.ndarray:
    return tokens if len(tokens) <= most else np.sort(draw.choice(tokens, most, replace=False))


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


def anisotropy(vectors: np.ndarray) -> float | None:
    """Mean cosine of two different vectors (Ethayarajh, "How contextual are contextualized word representations?").

    Over all pairs, not a sample of them: Σ_{i≠j} u_i u_j = |Σ u_i|² - n for unit vectors u. Vectors of length zero have
    no direction and are left out. The paper (EMNLP 2019) takes a sample.

    Args:
        vectors: Shape ``(n, H)``.

    Returns:
        The mean, from about 0 (no common direction) to 1; None where fewer than two vectors have a direction.
    """
    rows = vectors.astype(np.float64)
    lengths = np.linalg.norm(rows, axis=1)
    rows = rows[lengths > 0] / lengths[lengths > 0, None]
    count = len(rows)
    if count < 2:
        return None
    return float((np.square(rows.sum(axis=0)).sum() - count) / (count * (count - 1)))


@dataclass(frozen=True)
class Plane:
    """Vectors projected on their first two principal components.

    Attributes:
        scores: Coordinates, shape ``(n, 2)``.
        explained: Share of the variance along each.
    """

    scores: np.ndarray
    explained: tuple[float, float]


def principal_plane(vectors: np.ndarray, like: np.ndarray | None = None) -> Plane:
    """Principal component analysis in two dimensions.

    A component may as well point the other way: it is turned so that its scores are skewed to the right, or to agree
    with those of another plane. So equal vectors in other coordinates get equal scores.

    Args:
        vectors: Shape ``(n, H)``, H at least 2.
        like: Scores of the same n tokens elsewhere, shape ``(n, 2)``.

    Raises:
        ValueError: If there are no two dimensions.
    """
    centred = vectors - vectors.mean(axis=0, dtype=np.float64)
    if min(centred.shape) < 2:
        raise ValueError(f"a plane takes two vectors of two dimensions (found {centred.shape[0]} x {centred.shape[1]})")
    variances, axes = np.linalg.eigh(centred.T @ centred)
    scores = centred @ axes[:, [-1, -2]]
    signs = np.sign((scores**3).sum(axis=0) if like is None else (scores * like).sum(axis=0))
    first, second = (variances[[-1, -2]] / max(variances.sum(), np.finfo(float).tiny)).tolist()
    return Plane(scores * np.where(signs < 0, -1, 1), (first, second))
