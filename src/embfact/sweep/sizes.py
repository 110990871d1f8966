"""The sizes of planned runs, from shapes alone. Light to import: no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from embfact.config.run_config import RunConfig
from embfact.embeddings.layout import Size
from embfact.errors import ModelError
from embfact.formatting.markdown import markdown_grid
from embfact.formatting.numbers import with_share
from embfact.models.backbones import table_shape
from embfact.models.planned_size import block_shrinkage, dense_size
from embfact.results.table.terminal import terminal_width
from embfact.runs.planned import PlannedRun
from embfact.runs.record import Amount

_UNKNOWN = "\u2013"  # an en dash, as in the table of results


@dataclass(frozen=True)
class PlannedSizes:
    """Sizes as saved, of the embedding and of the model, each with that of the dense one; None if unknown."""

    rank: int | None = None
    embedding: tuple[Size, Size] | None = None
    model: tuple[Size, Size] | None = None


def size_lines(plan: Sequence[PlannedRun]) -> list[str]:
    """A table of the sizes of planned runs; seeds, and runs that differ only in other options, share a line."""
    several = len({run.config.model.label for run in plan}) > 1
    found: dict[tuple[str, ...], None] = {}
    bounds = set()
    for run in plan:
        config, sizes = run.config, _sizes_of(run)
        method = config.factorization
        label = method.name if config.storage == "float32" else f"{method.name} {config.kept}"
        asked = str(sizes.rank) if sizes.rank else str(config.target or _UNKNOWN)
        words = [config.model.label] if several else []
        found[*words, label, asked, *_cells(sizes.embedding), *_cells(sizes.model)] = None
        bounds |= {method.name} if method.size_is_bound and run.record is None else set()
    head = [*(["model"] if several else []), "method", "rank"]
    notes = ["- As saved, in brackets as a share of dense."]
    notes += [f"- Of {', '.join(sorted(bounds))}: at most; it follows from the data."] if bounds else []
    notes += [f"- {_UNKNOWN}: known once the run has loaded its backbone and data."] if _unknown(found) else []
    wide = ["emb. params", "emb. bytes", "model params", "model bytes"]
    lines, width = markdown_grid([*head, *wide], list(found), len(head) - 1), terminal_width()
    if width is not None and len(lines[0]) > width:
        plain = [[*line[:-4], *(cell.partition(" ")[0] for cell in line[-4:])] for line in found]
        lines = markdown_grid([*head, "emb.", "bytes", "model", "bytes"], plain, len(head) - 1)
        notes[0] = "- Parameters and bytes of the token embedding (emb.) and of the model, as saved."
    return [*lines, "", *notes]


def _unknown(lines: dict[tuple[str, ...], None]) -> bool:
    return any(_UNKNOWN in line[-4:] for line in lines)


def _cells(pair: tuple[Size, Size] | None) -> tuple[str, str]:
    if pair is None:
        return _UNKNOWN, _UNKNOWN
    own, dense = pair
    return with_share(own.parameters, dense.parameters), with_share(own.bytes, dense.bytes, "B")


def _sizes_of(run: PlannedRun) -> PlannedSizes:
    """The sizes in its record, or else those that its configuration determines."""
    if run.record and run.record.size:
        size, dense = run.record.size, run.record.size.dense

        def pair(own: Amount, whole: Amount) -> tuple[Size, Size]:
            return Size(own.parameters, own.bytes), Size(whole.parameters, whole.bytes)

        return PlannedSizes(
            run.record.method.rank, pair(size.embedding, dense.embedding), pair(size.model, dense.model)
        )
    try:
        return _planned(run.config)
    except (ModelError, ValueError):  # the run itself will say so
        return PlannedSizes()


def _planned(config: RunConfig) -> PlannedSizes:
    shape, method = table_shape(config.model), config.factorization
    if shape is None:
        return PlannedSizes()
    table = shape.vocab_size, shape.embedding_size
    weights = shape.vocab_size * shape.embedding_size
    rank = None
    if config.target:
        if config.target.energy is not None:
            return PlannedSizes()  # decided by the singular values
        rank = config.target.rank
        if config.target.budget is not None:
            rank = method.rank_for_budget(*table, config.target.budget, config.target.unit, config.kept)
    own, dense = method.size(*table, rank, config.kept), Size(weights, 4 * weights)
    document = config.model.model_dump_json()
    labels = config.data.label_names
    # Labels that only the files name are taken for two.
    outputs = 1 if config.data.target == "float" else len(labels or (0, 1))
    whole = dense_size(document, config.task.pooling, outputs)
    model = None
    if whole is not None:
        # A method that replaces the whole block also makes its other tables smaller.
        less = block_shrinkage(document, rank or 0) if method.replaces_block else 0
        if less is not None:
            saved = Size(
                whole.parameters - dense.parameters + own.parameters - less,
                whole.bytes - dense.bytes + own.bytes - 4 * less,
            )
            model = saved, whole
    return PlannedSizes(rank, (own, dense), model)
