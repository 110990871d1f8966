"""Logits of a fine-tuned model for whole splits, and of a finished run for any rows."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from torch import nn

from embfact.data.batches import collate, sorted_batches
from embfact.data.tokenized import Tokenized, tokenize
from embfact.errors import UserError
from embfact.kernels.swap import for_inference
from embfact.models import checkpoint
from embfact.runs.finished_run import FinishedRun
from embfact.system.terminal import progress


class Scorer:
    """Computes the logits of rows.

    Args:
        run: The run whose weights to load.
        device: ``cpu``, ``cuda``, ``cuda:1`` or ``mps``; None for a GPU if there is one.

    Raises:
        ModelError: If the checkpoint cannot be loaded.
        UserError: If there is no such device.
    """

    def __init__(self, run: FinishedRun, device: str | None = None):
        self.device = choose_device(device)
        self._model, self._tokenizer = checkpoint.load(run.checkpoint)

    def logits(self, rows: pa.Table, *, max_length: int, batch_size: int, cache_dir: str | Path) -> np.ndarray:
        """Logits of rows, in their order, float32, shape ``(rows, outputs)``.

        Args:
            rows: Columns ``id``, ``text``, ``label`` and for pairs ``text_pair``.
            max_length: Number of tokens that a text (or pair) is truncated to.
            batch_size: Rows per batch.
            cache_dir: Where the token ids are cached.
        """
        return predict(
            self._model,
            tokenize(rows, self._tokenizer, max_length, cache_dir),
            pad_token_id=self._tokenizer.pad_token_id,
            padding_side=self._tokenizer.padding_side,
            batch_size=batch_size,
            device=self.device,
        )


def choose_device(name: str | None) -> torch.device:
    """The requested device, or a GPU if there is one.

    Raises:
        UserError: If this machine has no such device.
    """
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "cuda":
        here = (device.index or 0) < torch.cuda.device_count()
    else:
        here = device.type != "mps" or torch.backends.mps.is_available()
    if not here:
        raise UserError(f"this machine has no device {name}; use --device cpu, or leave out --device")
    return device


def use_threads_of(run: FinishedRun) -> None:
    """Use as many CPU threads as the run did, since the number affects the order of summation."""
    threads = run.record.training.threads if run.record.training else None
    if threads:
        torch.set_num_threads(min(threads, os.cpu_count() or 1))


def predict(
    model: nn.Module,
    rows: Tokenized,
    *,
    pad_token_id: int,
    padding_side: str = "right",
    batch_size: int = 64,
    device: torch.device | str = "cpu",
    title: str = "scoring",
) -> np.ndarray:
    """Logits of every row, in the order of the rows.

    Args:
        model: A sequence classifier; left in evaluation mode on `device`.
        rows: Tokenised texts.
        pad_token_id: Id to pad short rows with.
        padding_side: ``"right"`` or ``"left"``.
        batch_size: Rows per batch; rows are sorted by length to reduce padding.
        device: Where to compute.
        title: What a terminal shows beside the progress bar.

    Returns:
        Logits, shape ``(rows, outputs)``, float32.
    """
    model.to(device).eval()
    logits: np.ndarray | None = None
    with torch.inference_mode(), for_inference(model, torch.device(device)):
        for indices in progress(sorted_batches(rows.lengths, batch_size), title):
            batch = collate(rows, indices, pad_token_id, padding_side)
            inputs = {k: v.to(device) for k, v in batch.items() if k != "labels"}
            scores = model(**inputs).logits.float().cpu().numpy()
            if logits is None:
                logits = np.empty((len(rows), scores.shape[-1]), dtype=np.float32)
            logits[np.asarray(indices)] = scores
    return np.empty((0, 1), dtype=np.float32) if logits is None else logits
