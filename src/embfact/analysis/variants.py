"""The tables that are compared: factorizations of a pretrained table, or the tables of trained runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from embfact.analysis.frequency import relative_error
from embfact.analysis.request import AnalysisRequest, TrainedRun
from embfact.analysis.texts import Texts, hidden_means
from embfact.compression.factorize import Workbench
from embfact.config.run_config import RunConfig
from embfact.embeddings.base import TokenEmbedding
from embfact.embeddings.layout import Size
from embfact.factorization.base import Factorization
from embfact.formatting.typed import typed
from embfact.models import checkpoint
from embfact.models.compress import embedding_tensors
from embfact.models.size import model_size
from embfact.results.options import VaryingOptions

DENSE = "dense"
# Squared change in training over the squared norm: the last decimal of the errors. Below it, no start is shown.
MOVED = 1e-3


@dataclass(frozen=True)
class Variant:
    """One table.

    Attributes:
        name: Label in plots and tables, e.g. ``svd r64``.
        rank: Its size; None for a dense table.
        size: Parameters and bytes.
        table: Its dense equivalent, float32, shape ``(V, H)``.
        hidden: Mean last hidden states of the texts when the backbone uses this table, shape ``(n, H)``, or None.
    """

    name: str
    rank: int | None
    size: Size
    table: np.ndarray
    hidden: np.ndarray | None


class Variants:
    """Creates the tables of a command one at a time, so that only three are in memory.

    Args:
        bench: Backbone, table and evidence.
        texts: The texts for the hidden states.

    Attributes:
        unmoved: Names of the tables that training changed so little that their start is not shown.
    """

    def __init__(self, bench: Workbench, texts: Texts):
        self.bench = bench
        self.texts = texts
        self.unmoved: list[str] = []

    def dense(self) -> Variant:
        """The pretrained table, the reference for all others."""
        return Variant(DENSE, None, self.bench.dense, _numbers(self.bench.table), self._hidden(self.bench.model))

    def others(self, request: AnalysisRequest) -> Iterator[Variant | str]:
        """The other tables; for one that cannot be created, the reason."""
        configs = [job.config for job in request.jobs if job.config.factorization.name != "none"]
        problems = {id(job.config): job.problem for job in request.jobs}
        for config, name in zip(configs, names_of(configs), strict=True):
            problem = problems[id(config)]
            made = f"{name} does not fit: {problem}" if problem else self._fitted(config, name)
            if made is not None:
                yield made
        if request.runs:
            yield from self._of_runs(request.runs)

    def _of_runs(self, runs: Sequence[TrainedRun]) -> Iterator[Variant | str]:
        """For each run the table after training, and before it the one at its start, once, where the two differ."""
        starts = names_of([one.config for one in runs])
        shown: set[str] = set()
        for one, start, name in zip(runs, starts, trained_names(runs), strict=True):
            trained = self._trained(one, name)
            # With a refactorization schedule, training starts from the dense table.
            factorized = one.config.factorization.name != "none" and one.config.refactorize.every == "never"
            if factorized and start not in shown:
                before = self._fitted(one.config, f"{start} at start", like=trained.table)
                if before is None:
                    self.unmoved.append(name)
                else:
                    shown.add(start)
                    yield before
            yield trained

    def _fitted(self, config: RunConfig, name: str, like: np.ndarray | None = None) -> Variant | str | None:
        """The table that a method makes, or why it cannot; None if it is all but equal to a given one."""
        if not isinstance(config.factorization, Factorization):
            return f"{name} learns its block from scratch: before it is trained there is no table to compare"
        try:
            found = self.bench.fit(config)
            small, size, rank = found.embedding, found.size, found.rank
        except Exception as error:  # one method must not stop the others
            reason = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
            return f"{name} failed: {' '.join(reason.split())}"
        table = small.dense()
        numbers = _numbers(table)
        if like is not None and (relative_error(like, numbers) or 0.0) < MOVED:
            return None
        with _swapped(self.bench.embedding, table):
            hidden = self._hidden(self.bench.model)
        return Variant(name, rank, size, numbers, hidden)

    def _trained(self, one: TrainedRun, name: str) -> Variant:
        model, _ = checkpoint.load(one.run.checkpoint)
        embedding: Any = model.get_input_embeddings()
        table = embedding.dense() if isinstance(embedding, TokenEmbedding) else embedding.weight.detach()
        size = model_size(model, embedding_tensors(model))
        return Variant(name, one.run.record.method.rank, size, _numbers(table), self._hidden(model))

    def _hidden(self, model: PreTrainedModel) -> np.ndarray | None:
        return hidden_means(model, self.bench.tokenizer, self.texts.rows)


def names_of(configs: Sequence[RunConfig]) -> list[str]:
    """A name per configuration: method, storage and size, and the options that vary within its method."""
    options = [(config.factorization.name, config.factorization.model_dump()) for config in configs]
    return [
        " ".join(
            [
                DENSE if name == "none" else name,
                *([config.size] if config.size else []),
                *(
                    f"{option}={typed(value)}"
                    for option, value in own.items()
                    if any(other[option] != value for same, other in options if same == name)
                ),
            ]
        )
        for config, (name, own) in zip(configs, options, strict=True)
    ]


def trained_names(runs: Sequence[TrainedRun]) -> list[str]:
    """A name per run: method, storage and size, seed, and the options that vary, as in tables of results."""
    varying = VaryingOptions([one.run.record for one in runs])
    names = []
    for one in runs:
        method = one.config.factorization.name
        size = " ".join(filter(None, [DENSE if method == "none" else method, one.config.size]))
        found = varying.found([one.run.record])
        setting = ", ".join(filter(None, [varying.options(one.run.record), found]))
        names.append(f"{size} trained s{one.config.seed}" + (f" ({setting})" if setting else ""))
    # What no option tells apart: runs of different searches, for example.
    return [
        name if names.count(name) == 1 else f"{name} {one.run.record.hash[:8]}"
        for name, one in zip(names, runs, strict=True)
    ]


@contextmanager
def _swapped(embedding: torch.nn.Embedding, table: torch.Tensor) -> Iterator[None]:
    """Temporarily use another table in a model."""
    kept = embedding.weight.data
    embedding.weight.data = table.to(kept)
    try:
        yield
    finally:
        embedding.weight.data = kept


def _numbers(table: torch.Tensor) -> np.ndarray:
    return table.detach().float().cpu().numpy()
