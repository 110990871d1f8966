"""Tables that look like those of words, for tests of methods."""

import numpy as np
import torch


def rows_around_centers(vocab_size: int, hidden_size: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """Rows around some centers, as those of words are, shape ``(V, H)``; the same ones at every call."""
    draw = np.random.default_rng(0)
    centers = 2 * draw.normal(size=(40, hidden_size))
    rows = centers[draw.integers(40, size=vocab_size)] + draw.normal(size=(vocab_size, hidden_size))
    return torch.tensor(rows, dtype=dtype)
