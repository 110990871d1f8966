"""The tables that are compared: what methods make of a pretrained one, or what training made of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

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

DENSE = "dense"


@dataclass(frozen=True)
class Variant:
    """One table.

    Attributes:
        name: As pictures and tables call it, e.g. ``svd r64``.
        rank: Its size; None for a whole table.
        size: Parameters and bytes.
        table: The table that it stands for, float32, shape ``(V, H)``.
        hidden: Texts as the mean of the last hidden states that the backbone has with it, shape ``(n, H)``, or None.
    """

    name: str
    rank: int | None
    size: Size
    table: np.ndarray
    hidden: np.ndarray | None


class Variants:
    """Makes the tables of a command one after another, so that only two are held at a time.

    Args:
        bench: Backbone, table and evidence.
        texts: The texts whose hidden states are taken.
    """

    def __init__(self, bench: Workbench, texts: Texts):
        self.bench = bench
        self.texts = texts

    def dense(self) -> Variant:
        """The pretrained table, which all others are compared with."""
        return Variant(DENSE, None, self.bench.dense, _numbers(self.bench.table), self._hidden(self.bench.model))

    def others(self, request: AnalysisRequest) -> Iterator[Variant | str]:
        """The other tables; for one that cannot be made, the reason in words."""
        configs = [job.config for job in request.jobs if job.config.factorization.name != "none"]
        problems = {id(job.config): job.problem for job in request.jobs}
        for config, name in zip(configs, names_of(configs), strict=True):
            problem = problems[id(config)]
            yield f"{name} does not fit: {problem}" if problem else self._fitted(config, name)
        if request.runs:
            yield from self._of_runs(request.runs)

    def _of_runs(self, runs: Sequence[TrainedRun]) -> Iterator[Variant | str]:
        """For each method and size what training started from, and for each run what it ended with."""
        names = names_of([one.config for one in runs])
        started: set[str] = set()
        for one, name in zip(runs, names, strict=True):
            # With a schedule of projections the training starts from the whole table.
            if (
                one.config.factorization.name != "none"
                and one.config.refactorize.every == "never"
                and name not in started
            ):
                started.add(name)
                yield self._fitted(one.config, f"{name} at start")
            ended = f"{name} trained s{one.config.seed}"
            alike = sum(
                (other, two.config.seed) == (name, one.config.seed) for other, two in zip(names, runs, strict=True)
            )
            yield self._trained(one, ended if alike == 1 else f"{ended} {one.run.record.hash[:8]}")

    def _fitted(self, config: RunConfig, name: str) -> Variant | str:
        if not isinstance(config.factorization, Factorization):
            return f"{name} learns its block from nothing: before it is trained there is no table to compare"
        try:
            small, size, rank, _ = self.bench.fit(config)
        except Exception as error:  # one method must not stop the others
            reason = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
            return f"{name} failed: {' '.join(reason.split())}"
        table = small.dense()
        with _swapped(self.bench.embedding, table):
            hidden = self._hidden(self.bench.model)
        return Variant(name, rank, size, _numbers(table), hidden)

    def _trained(self, one: TrainedRun, name: str) -> Variant:
        model, _ = checkpoint.load(one.run.checkpoint)
        embedding: Any = model.get_input_embeddings()
        table = embedding.dense() if isinstance(embedding, TokenEmbedding) else embedding.weight.detach()
        size = model_size(model, embedding_tensors(model))
        return Variant(name, one.run.record.method.rank, size, _numbers(table), self._hidden(model))

    def _hidden(self, model: PreTrainedModel) -> np.ndarray | None:
        return hidden_means(model, self.bench.tokenizer, self.texts.rows)


def names_of(configs: Sequence[RunConfig]) -> list[str]:
    """A name for each configuration: method, storage and size, and the options in which those of a method differ."""
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


@contextmanager
def _swapped(embedding: torch.nn.Embedding, table: torch.Tensor) -> Iterator[None]:
    """Another table in a model for a while: whatever the model does with its rows, it does with these."""
    kept = embedding.weight.data
    embedding.weight.data = table.to(kept)
    try:
        yield
    finally:
        embedding.weight.data = kept


def _numbers(table: torch.Tensor) -> np.ndarray:
    return table.detach().float().cpu().numpy()
