"""Factorizing the table of a pretrained model without training: a comparison of methods, and a smaller checkpoint."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import inf
from pathlib import Path
from time import perf_counter
from typing import Any, cast

import torch
import transformers
from torch import nn
from transformers import AutoConfig, AutoModel, PreTrainedModel, PreTrainedTokenizerBase

from embfact.compression.factorize_request import FactorizeRequest, Job
from embfact.compression.factorize_table import MethodRow, MethodTable
from embfact.compression.held_out import HeldOut, held_out
from embfact.config.run_config import RunConfig
from embfact.config.sections import TRAINING, ModelConfig
from embfact.data.text import load_text
from embfact.data.tokenized import tokenize
from embfact.embeddings.base import TokenEmbedding
from embfact.embeddings.layout import Size
from embfact.errors import ModelError
from embfact.evidence import collect
from embfact.factorization.auto import Auto, candidates
from embfact.factorization.base import Evidence, Factorization, Method, ModelAdapter
from embfact.factorization.decomposition import check_table
from embfact.factorization.decomposition_cache import forget
from embfact.factorization.weighted_svd import WeightedSVD
from embfact.formatting.typed import typed
from embfact.models import checkpoint
from embfact.models.backbones import TOKENIZER, fingerprint, hub_commit, origin_of, refuse_compressed, resolve
from embfact.models.compress import compress, embedding_modules, embedding_tensors
from embfact.models.loading import load_backbone, load_tokenizer, quiet
from embfact.models.shipped import memory_bytes, zstd_bytes
from embfact.models.size import model_size, unique_tensors
from embfact.models.storage import store
from embfact.models.table import dense_table
from embfact.models.token_ids import check_ids
from embfact.profiling.lookup import lookup_microseconds


@dataclass(frozen=True)
class Fitted:
    """A factorized table.

    Attributes:
        embedding: The smaller embedding, stored as asked.
        modules: All modules that replace the table: the embedding, and for a narrower block its projection.
        size: Their size as saved.
        rank: The rank; None for a method without one.
        seconds: Wall time of the fit.
    """

    embedding: TokenEmbedding
    modules: Sequence[nn.Module]
    size: Size
    rank: int | None
    seconds: float


class Workbench:
    """A model, its table and the evidence from training rows, shared by all methods.

    Raises:
        UserError: If the model or the data cannot be used.
    """

    def __init__(self, config: RunConfig):
        if config.trainer.threads:
            torch.set_num_threads(config.trainer.threads)
        self.config = config
        self.model, self.tokenizer = load_dense(config.model)
        self.embedding = table_of(self.model, self.tokenizer)
        self.table = self.embedding.weight.detach()
        self.text = load_text(config.data, config.paths.data_dir, config.paths.cache_dir, seed=config.seed)
        self.train = tokenize(self.text.train, self.tokenizer, config.data.max_length, config.paths.cache_dir)
        self._evidence: dict[frozenset[str], Evidence] = {}
        self._latest: Method | None = None
        counter = config.model_copy(update={"factorization": WeightedSVD()})
        self.counts = cast(torch.Tensor, self.evidence(counter).token_counts)
        self.held_out = self._held_out()
        self.weights = self.counts if self.held_out is None else torch.from_numpy(self.held_out.counts)

    def _held_out(self) -> HeldOut | None:
        if self.text.selection is None or self.config.evidence.file:  # a file of other texts has no held-out part
            return None
        rows = tokenize(self.text.selection, self.tokenizer, self.config.data.max_length, self.config.paths.cache_dir)
        return held_out(rows, self.counts.numpy(), sorted(set(self.tokenizer.all_special_ids)))

    @property
    def corpus(self) -> str:
        """The texts whose tokens methods count, in words."""
        source, data = self.config.evidence, self.config.data.name
        if source.file:
            return Path(source.file).name
        return f"{len(self.train if source.source == TRAINING else self.text.train_all):,} rows of {data}"

    @property
    def dense(self) -> Size:
        """Size of the table as it is."""
        return Size(self.table.numel(), self.table.numel() * self.table.element_size())

    def evidence(self, config: RunConfig) -> Evidence:
        """The evidence that a method needs, shared by methods with the same needs."""
        needs = frozenset(config.factorization.needs)
        if needs not in self._evidence:
            # Gradients are those of a task and need a classification head.
            model = self.model if needs <= {"token_counts"} else self._classifier
            identity = fingerprint(config.model)
            self._evidence[needs] = collect(config, identity, model, self.tokenizer, self.train, self.text.train_all)
        return self._evidence[needs]

    @cached_property
    def _classifier(self) -> Any:
        labels = self.text.label_names
        model, _ = load_backbone(
            self.config.model,
            num_labels=1 if labels is None else len(labels),
            label_names=labels,
            dropout=None,
            seed=self.config.seed,
        )
        return model

    def fit(self, config: RunConfig, *, in_place: bool = False) -> Fitted:
        """Factorize the table.

        Args:
            config: Method, size, storage and seed.
            in_place: Put the result into the model itself, so that it can be saved.

        Raises:
            ValueError: If the method cannot handle this table or this size.
        """
        method, evidence = config.factorization, self.evidence(config)
        if method != self._latest:
            # A method must not profit from decompositions of another one; further sizes of the same method may.
            forget()
            self._latest = method
        model = copy.deepcopy(self.model) if isinstance(method, ModelAdapter) and not in_place else self.model
        start = perf_counter()
        rank = config.target.rank_of(method, self.table, evidence, config.kept) if config.target else None
        if isinstance(method, Factorization) and not in_place:
            sizes, weight_bytes = self.table.shape, self.table.element_size()
            method.check_size(sizes[0], sizes[1], rank, False, config.kept, weight_bytes)
            padding = self.embedding.padding_idx
            small = method.fit(self.table, rank, evidence=evidence, padding_idx=padding, seed=config.seed)
            seconds = perf_counter() - start
            small.store_tables(config.kept)
            return Fitted(small, [small], model_size(small), rank, seconds)
        compress(model, method, rank, evidence=evidence, seed=config.seed, storage=config.kept)
        seconds = perf_counter() - start
        store(model, config.kept)
        small = cast(TokenEmbedding, model.get_input_embeddings())
        return Fitted(small, embedding_modules(model), model_size(model, embedding_tensors(model)), rank, seconds)

    def candidates(self, job: Job) -> list[Job]:
        """The methods and formats among which ``factorization=auto`` chooses; any other job alone."""
        config = job.config
        if not isinstance(config.factorization, Auto) or config.budget is None:
            return [job]
        (rows, columns), weight_bytes = self.table.shape, self.table.element_size()
        found = candidates(rows, columns, config.budget, config.storage_group, weight_bytes)
        return [Job(config.with_method(method, storage.format, config.budget)) for method, storage in found]

    def row(self, job: Job, setting: str, *, in_place: bool = False) -> MethodRow:
        """The figures of one method; an error becomes the row's problem."""
        config, method = job.config, job.config.factorization
        name = method.size_name if method.uses_rank else None
        row = MethodRow(method.name, str(config.kept), setting, name)
        if job.problem:
            return replace(row, problem=f"does not fit: {job.problem}")
        try:
            found = self.fit(config, in_place=in_place)
            # An adapter's block is random, so there is nothing to compare before it is trained.
            known = isinstance(method, Factorization)
            plain, weighted = squared_errors(self.table, found.embedding, self.weights) if known else (None, None)
            lookup = lookup_microseconds(found.embedding, len(self.table), self.table.device)
        except Exception as error:  # one method must not stop the others
            reason = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
            return replace(row, problem=f"failed: {' '.join(reason.split())}")
        return replace(
            row,
            rank=found.rank,
            parameters=found.size.parameters,
            bytes=found.size.bytes,
            zstd_bytes=zstd_bytes(unique_tensors(nn.ModuleList(found.modules)).values()),
            memory_bytes=memory_bytes(found.modules),
            lookup_microseconds=lookup,
            error=plain,
            weighted_error=weighted,
            seconds=found.seconds,
        )


def factorize(request: FactorizeRequest, say: Callable[[str], None]) -> MethodTable:
    """Factorize a table with every method of a request, and save the model if asked to; `say` prints the progress.

    Returns:
        The table, possibly with rows that have a problem.

    Raises:
        UserError: If model or data cannot be used, or the output cannot be written; nothing is half-written.
    """
    bench = Workbench(request.jobs[0].config)
    rows = [bench.row(Job(bench.config.dense()), "")]
    groups = [bench.candidates(job) for job in request.jobs]
    jobs = [job for group in groups for job in group]
    choosing = isinstance(request.jobs[0].config.factorization, Auto)
    losses: list[tuple[float, int]] = []
    for number, (job, setting) in enumerate(zip(jobs, _settings(jobs), strict=True), 1):
        row = bench.row(job, setting, in_place=request.output is not None and not choosing)
        outcome = row.problem.partition(":")[0] if row.problem else f"{row.seconds:.2f} s"
        size = f"{row.size_name} {row.rank}" if row.rank else ""
        counter = f"[{number}/{len(jobs)}]"
        say(f"{' '.join(filter(None, [counter, row.label, setting, size]))}  {outcome}")
        losses.append((inf if row.weighted_error is None else row.weighted_error, row.bytes or 0))
        if row.label == rows[0].label:
            rows[0] = row
        else:
            rows.append(row)
    whole = not any(row.problem for row in rows)
    if choosing and whole and len(groups) == 1:
        (error, _), best = min(zip(losses, jobs, strict=True), key=lambda one: one[0])
        say(f"factorization={best.config.factorization.name} storage={best.config.storage} loses least: {error:.4f}")
        if request.output:
            bench.fit(best.config, in_place=True)
    if request.output and whole:
        checkpoint.save(bench.model, bench.tokenizer, request.output)
    return MethodTable(
        model=bench.config.model.label,
        vocab_size=bench.table.shape[0],
        width=bench.table.shape[1],
        dense=bench.dense,
        corpus=bench.corpus,
        counted=int(bench.counts.sum()),
        occurring=int(bench.counts.count_nonzero()),
        held_out=str(bench.held_out) if bench.held_out else None,
        threads=torch.get_num_threads(),
        rows=tuple(rows),
    )


def _settings(jobs: Sequence[Job]) -> list[str]:
    """For each row, the options in which rows of its method differ, as text."""
    options = [(job.config.factorization.name, job.config.factorization.model_dump()) for job in jobs]
    return [
        ", ".join(
            f"{option}={typed(value)}"
            for option, value in own.items()
            if any(other[option] != value for same, other in options if same == name)
        )
        for name, own in options
    ]


def load_dense(model: ModelConfig) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a pretrained model of the class named in its config.json, and its tokenizer.

    It is in evaluation mode and keeps its dtype. Weights are loaded from safetensors files only, and no code of a
    checkpoint is run.

    Raises:
        ModelError: If it cannot be loaded, or weights are missing.
    """
    origin = _pinned(origin_of(model), model.revision)
    vocabulary = resolve(model.tokenizer, TOKENIZER) if model.tokenizer else None
    try:
        with quiet():
            tokenizer = load_tokenizer(**(_pinned(vocabulary, None) if vocabulary else origin))
            config = AutoConfig.from_pretrained(**origin)
            refuse_compressed(config.to_dict(), f"model {model.label}")
            names = config.architectures or []
            kind = getattr(transformers, names[0], AutoModel) if names else AutoModel
            loaded, report = kind.from_pretrained(
                **origin, dtype="auto", use_safetensors=True, output_loading_info=True
            )
    except ModelError:
        raise
    except Exception as error:  # transformers, tokenizers, safetensors and the hub have their own exceptions
        reason = " ".join(str(error).split())[:300]
        raise ModelError(
            f"model {model.label} cannot be loaded ({type(error).__name__}: {reason}); set model.name_or_path to a "
            "directory with config.json, model.safetensors and tokenizer files"
        ) from error
    # Checkpoints of models that were pretrained without a pooler lack it.
    if missing := sorted(name for name in report["missing_keys"] if "pooler" not in name):
        raise ModelError(
            f"the checkpoint of model {model.label} lacks {len(missing)} weights of a {type(loaded).__name__} (first: "
            f"{missing[0]}); its config.json belongs to another model"
        )
    return loaded.eval(), tokenizer


def table_of(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> nn.Embedding:
    """The token embedding of a model, if its table can be factorized.

    Raises:
        ModelError: If there is none, it is not finite, or the tokenizer has an id beyond its rows.
    """
    table, kind = dense_table(model), model.config.model_type
    try:
        check_table(table.weight)
    except ValueError as error:
        raise ModelError(f"the token embedding of this {kind}: {error}") from error
    check_ids(tokenizer, model, f"this {kind}")
    return table


def _pinned(origin: Path | str | None, revision: str | None) -> dict[str, Any]:
    """Arguments of ``from_pretrained`` for a pinned origin."""
    commit = {"revision": hub_commit(origin, revision)} if isinstance(origin, str) else {}
    return {"pretrained_model_name_or_path": str(origin), "trust_remote_code": False, **commit}


def squared_errors(
    table: torch.Tensor, embedding: TokenEmbedding, weights: torch.Tensor, block: int = 8192
) -> tuple[float | None, float | None]:
    """The relative squared error of an embedding, Σ w_v |W_v - Ŵ_v|² / Σ w_v |W_v|², with w = 1 and with the weights.

    Args:
        table: W, shape ``(V, H)``.
        embedding: The module that represents Ŵ, in any precision.
        weights: w, shape ``(V,)``, float64.
        block: Rows at once; all sums are in float64.

    Returns:
        The plain and the weighted error; None if the denominator is zero.
    """
    sums = torch.zeros(2, 2, dtype=torch.float64)  # plain, weighted: lost, whole
    with torch.no_grad():
        for ids in torch.arange(len(table), device=table.device).split(block):
            exact = table[ids].double()
            lost = (embedding.forward(ids).double() - exact).square().sum(dim=1).cpu()
            whole, own = exact.square().sum(dim=1).cpu(), weights[ids.cpu()]
            sums += torch.stack([torch.stack([lost.sum(), whole.sum()]), torch.stack([own @ lost, own @ whole])])
    plain, weighted = (float(lost / whole) if whole > 0 else None for lost, whole in sums)
    return plain, weighted
