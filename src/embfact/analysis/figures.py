"""Every figure of an analysis, as plain values that JSON can hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from embfact.analysis.clusters import Agreement
from embfact.analysis.spectrum import Spectrum


@dataclass(frozen=True)
class GroupFigures:
    """A table at the tokens of one frequency group; see `Group` and `TableFigures`."""

    group: str
    error: float | None
    recall: float


@dataclass(frozen=True)
class ClusterFigures:
    """A cluster of tokens: how many there are, their share of the occurrences, and the purest of them."""

    size: int
    share: float
    purest: tuple[str, ...]


@dataclass(frozen=True)
class TextFigures:
    """Texts as single vectors: agreement of their clusters with the labels (null without classes), mean cosine."""

    clusters: Agreement | None
    anisotropy: float | None


@dataclass(frozen=True)
class TableFigures:
    """One table, compared with the dense one.

    Attributes:
        name: As the command's pictures call it.
        rank: Its size, or None.
        parameters: Parameters of the embedding.
        bytes: Bytes of it as saved.
        spectrum: Of all rows alike.
        weighted_spectrum: Of the rows weighted by their counts.
        error: Squared error over the squared norm of the dense table.
        weighted_error: The same with each row weighted by its count.
        word_error: The same again over words alone: special tokens stand in every text, and weigh much.
        recall: Share of the 10 nearest neighbours kept, mean over tokens that occur.
        groups: Error and recall by frequency.
        anisotropy: Mean cosine of two different words.
        neighbours: Named word -> its nearest neighbours, the nearest first.
        explained: Share of the variance along each of two principal components.
        plane: Named word -> its coordinates on them.
        background: Coordinates of other words that occur, the same ones for every table.
        clusters: Clusters of the tokens that occur, the largest first.
        same_clusters: Their agreement with the clusters of the dense table; of the dense table itself that with its
            own at another seed, which no table can be expected to exceed.
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
