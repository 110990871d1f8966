"""Logits of a fine-tuned model for whole splits."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from embfact.data.batches import collate, sorted_batches
from embfact.data.tokenized import Tokenized
from embfact.kernels.swap import for_inference


def predict(
    model: nn.Module,
    rows: Tokenized,
    *,
    pad_token_id: int,
    padding_side: str = "right",
    batch_size: int = 64,
    device: torch.device | str = "cpu",
) -> np.ndarray:
    """Logits of every row, in the order of the rows.

    Args:
        model: A sequence classifier; left in evaluation mode on `device`.
        rows: Tokenised texts.
        pad_token_id: Id to pad short rows with.
        padding_side: ``"right"`` or ``"left"``.
        batch_size: Rows per batch; rows are sorted by length to reduce padding.
        device: Where to compute.

    Returns:
        Logits, shape ``(rows, outputs)``, float32.
    """
    model.to(device).eval()
    logits: np.ndarray | None = None
    with torch.inference_mode(), for_inference(model, torch.device(device)):
        for indices in sorted_batches(rows.lengths, batch_size):
            batch = collate(rows, indices, pad_token_id, padding_side)
            inputs = {k: v.to(device) for k, v in batch.items() if k != "labels"}
            scores = model(**inputs).logits.float().cpu().numpy()
            if logits is None:
                logits = np.empty((len(rows), scores.shape[-1]), dtype=np.float32)
            logits[np.asarray(indices)] = scores
    return np.empty((0, 1), dtype=np.float32) if logits is None else logits
