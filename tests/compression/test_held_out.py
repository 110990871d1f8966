"""Held-out rows say what methods have never counted."""

from __future__ import annotations

import numpy as np
import pytest

from embfact.compression.held_out import held_out
from embfact.data.tokenized import Tokenized

ROWS = [[0, 2, 3, 1], [0, 4, 4, 1], [0, 2, 5, 6, 1], [0, 3, 1]]  # 0 and 1 are special


def test_unseen_tokens_and_the_rows_that_have_them_are_counted() -> None:
    lengths = np.array([len(row) for row in ROWS])
    rows = Tokenized(np.arange(4), None, lengths, np.concatenate(ROWS).astype(np.int32), None)
    counted = np.array([0.0, 9, 2, 1, 0, 0, 5, 0])
    found = held_out(rows, counted, [0, 1])
    assert found.counts.tolist() == [4, 4, 2, 2, 2, 1, 1, 0]
    assert found.rows == 4
    # Of eight words, 4 (twice) and 5 were never counted; the special token 0 does not matter.
    assert found.unseen_tokens == pytest.approx(3 / 8)
    assert found.unseen_rows == pytest.approx(2 / 4)
    assert "37.5 %" in str(found)
    assert "50.0 %" in str(found)
