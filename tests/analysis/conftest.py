"""A small made-up analysis: a table whose words and texts are known."""

from __future__ import annotations

import numpy as np
import pytest

from embfact.analysis.analyse import Analysis, GroupLimits
from embfact.analysis.measure import Measurement
from embfact.analysis.texts import Texts
from embfact.analysis.variants import DENSE, Variant
from embfact.analysis.vocabulary import Vocabulary
from embfact.data.tokenized import Tokenized
from embfact.embeddings.layout import Size

V, H, N = 90, 12, 40


@pytest.fixture(scope="session")
def table() -> np.ndarray:
    """V x H numbers."""
    return np.random.default_rng(0).standard_normal((V, H)).astype(np.float32)


@pytest.fixture(scope="session")
def measurement(table: np.ndarray) -> Measurement:
    """Two special tokens, then words, of which the last ten never occur; texts of two classes."""
    draw = np.random.default_rng(1)
    counts = draw.integers(1, 50, V).astype(float)
    counts[:2], counts[-10:] = 500, 0
    weights = np.roll(counts, 1)
    words = np.arange(V) > 1
    vocabulary = Vocabulary(tuple(f"w{number}" for number in range(V)), words)
    rows = Tokenized(np.arange(N), draw.integers(0, 2, N), np.full(N, 5), draw.integers(0, V, 5 * N), None)
    named = {"three": 3, "four": 4, "eighty": 80}
    return Measurement(variant(DENSE, table), counts, weights, vocabulary, named, Texts("validation", rows, 2))


def variant(name: str, table: np.ndarray) -> Variant:
    hidden = np.tanh(table[:N])
    return Variant(name, None, Size(table.size, 4 * table.size), table, hidden)


@pytest.fixture(scope="session")
def analysis(measurement: Measurement, table: np.ndarray) -> Analysis:
    """The dense table, two coarser ones, and a problem."""
    tables = [measurement.dense, variant("svd r2", table.round()), variant("<img src=x onerror=alert(1)>", -table)]
    return Analysis(
        model="<b>made up</b>",
        vocab_size=V,
        width=H,
        words=V - 2,
        data="vader",
        corpus="some rows",
        counted=int(measurement.counts.sum()),
        held_out="some other rows",
        split="validation",
        texts=N,
        classes=2,
        groups=tuple(GroupLimits(g.name, len(g.tokens), g.most, g.least, g.share) for g in measurement.groups),
        tables=tuple(map(measurement.figures, tables)),
        problems=("kronecker <i>failed</i>",),
    )
