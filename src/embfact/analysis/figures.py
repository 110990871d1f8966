"""All figures of an analysis, as plain values that JSON can represent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from embfact.analysis.clusters import Agreement
from embfact.analysis.spectrum import Spectrum


@dataclass(frozen=True)
class GroupFigures:
    """A table restricted to the tokens of one frequency group; see `Group` and `TableFigures`."""

    group: str
    error: float | None
    recall: float


@dataclass(frozen=True)
class ClusterFigures:
    """A cluster of tokens: its size, its share of all occurrences, and its purest tokens."""

    size: int
    share: float
    purest: tuple[str, ...]


@dataclass(frozen=True)
class TextFigures:
    """Texts as single vectors: agreement of clusters and labels (None without classes), mean cosine."""

    clusters: Agreement | None
    anisotropy: float | None


@dataclass(frozen=True)
class TableFigures:
    """One table, compared with the dense one.

    Attributes:
        name: Label of the table in plots.
        rank: Its size, or None.
        parameters: Parameters of the embedding.
        bytes: Bytes of the embedding as saved.
        spectrum: Unweighted.
        weighted_spectrum: With rows weighted by their counts.
        error: Squared error divided by the squared norm of the dense table.
        weighted_error: The same with each row weighted by its count in held-out texts.
        word_error: The weighted error over words alone; special tokens occur in every text and would dominate.
        recall: Share of the 10 nearest neighbours kept, mean over tokens that occur.
        groups: Error and recall by frequency.
        anisotropy: Mean cosine of two different words.
        neighbours: Named word -> its neighbours, nearest first.
        explained: Share of the variance along each of the first two principal components.
        plane: Named word -> its coordinates on those components.
        background: Coordinates of other words that occur, the same words for every table.
        clusters: Clusters of the tokens that occur, largest first.
        same_clusters: Agreement with the clusters of the dense table. For the dense table itself: with its own
            clusters at another seed, an upper bound for what to expect.
        texts: ``token mean`` and ``last hidden`` -> figures of the texts.
    """

    name: str
    rank: int | None
    parameters: int
    bytes: int
    spectrum: Spectrum
    weighted_spectrum: Spectrum
    error: float | None
    weighted_error: float | None
    word_error: float | None
    recall: float
    groups: tuple[GroupFigures, ...]
    anisotropy: float | None
    neighbours: Mapping[str, tuple[str, ...]]
    explained: tuple[float, float]
    plane: Mapping[str, tuple[float, float]]
    background: tuple[tuple[float, float], ...]
    clusters: tuple[ClusterFigures, ...]
    same_clusters: Agreement
    texts: Mapping[str, TextFigures]
