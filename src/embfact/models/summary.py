"""The sizes of a model before and after a compression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn
from transformers import PreTrainedModel

from embfact.embeddings.layout import FLOAT32, Size, Storage, StorageFormat, StorageGroup
from embfact.embeddings.projected_block import ProjectedBlock
from embfact.errors import ModelError
from embfact.models.compress import embedding_tensors
from embfact.models.heads import PassedTableHead, TiedHead
from embfact.models.size import model_size, unique_tensors
from embfact.models.structure import check_plain
from embfact.models.wrapping import unwrapped


@dataclass(frozen=True)
class Summary:
    """Sizes of a model now, and with a dense table of the same dtype; its text is a small table.

    Attributes:
        method: Name of the factorization; None for a model that is not compressed.
        rank: Its rank, or what it counts instead; None for a method without one.
        storage: How the embedding is stored.
        storage_group: Numbers that share a scale if it is quantized; None if it is not, or was saved before there were
            groups.
        tied: Whether an output layer scores with the embedding; it then counts once, as a part of it.
        embedding: The token embedding now.
        dense_embedding: A V x H table.
        model: The whole model now, including the embedding.
        dense_model: The whole model with the V x H table.
    """

    method: str | None
    rank: int | None
    storage: StorageFormat
    storage_group: StorageGroup | None
    tied: bool
    embedding: Size
    dense_embedding: Size
    model: Size
    dense_model: Size

    def __str__(self) -> str:
        words = [self.method or "not compressed"]
        words += [f"rank {self.rank}"] if self.rank is not None else []
        kept = Storage(self.storage, self.storage_group)
        words += [f"stored as {kept}"] if kept != FLOAT32 else []
        words += ["tied output layer included"] if self.tied else []
        rows = [("embedding", self.embedding, self.dense_embedding), ("model", self.model, self.dense_model)]
        return "\n".join([", ".join(words), _HEADER, *(_line(*row) for row in rows)])


_HEADER = f"{'':<10}{'parameters':>16}{'dense':>16}{'share':>9}{'bytes':>18}{'dense':>18}{'share':>9}"


def summary(model: PreTrainedModel) -> Summary:
    """Sizes of a model, compressed or not, in memory and as saved.

    Args:
        model: A transformers model with a token embedding.

    Raises:
        ModelError: If it has none, or was quantized after it was built.
    """
    model = unwrapped(model)
    if not isinstance(model, PreTrainedModel):
        raise ModelError(f"only a model of transformers has a summary (found a {type(model).__name__})")
    check_plain(model, unique_tensors(model))
    blueprint: dict[str, Any] = getattr(model.config, "embfact", None) or {}
    kept = Storage.of_json(blueprint.get("embedding", blueprint))
    now, whole = model_size(model, embedding_tensors(model)), model_size(model)
    dense, beside = _dense_sizes(model)
    return Summary(
        method=blueprint.get("method"),
        rank=blueprint.get("rank"),
        storage=kept.format,
        storage_group=kept.group,
        tied=any(isinstance(module, TiedHead | PassedTableHead) for module in model.modules()),
        embedding=now,
        dense_embedding=dense,
        model=whole,
        dense_model=Size(
            whole.parameters - now.parameters + dense.parameters + beside.parameters,
            whole.bytes - now.bytes + dense.bytes + beside.bytes,
        ),
    )


def _dense_sizes(model: PreTrainedModel) -> tuple[Size, Size]:
    """The V x H table, and what else of the embedding block a method has narrowed."""
    embedding: Any = model.get_input_embeddings()
    block = next((module for module in model.modules() if isinstance(module, ProjectedBlock)), None)
    weight_bytes = _float_bytes(embedding)
    width, narrower = embedding.embedding_dim, 0
    if block is not None:
        # Tables and LayerNorm of the block all have E numbers where the dense ones have H.
        width = block.projection.out_features
        others = sum(p.numel() for name, p in block.block.named_parameters() if not name.startswith("word_embeddings."))
        narrower = others * (width - embedding.embedding_dim) // embedding.embedding_dim
    parameters = embedding.num_embeddings * width
    return Size(parameters, parameters * weight_bytes), Size(narrower, narrower * weight_bytes)


def _float_bytes(embedding: nn.Module) -> int:
    """Bytes of a weight of the dense table: those of the vectors that the embedding returns."""
    tables = getattr(embedding, "tables", None)
    weights = [table.dtype for table in tables()] if tables else [p.dtype for p in embedding.parameters()]
    return weights[0].itemsize


def _line(name: str, now: Size, dense: Size) -> str:
    cells = f"{name:<10}{now.parameters:>16,}{dense.parameters:>16,}{now.parameters / dense.parameters:>9.1%}"
    return cells + f"{now.bytes:>18,}{dense.bytes:>18,}{now.bytes / dense.bytes:>9.1%}"
