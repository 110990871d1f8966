"""The size of a classifier before it is built: from the shapes in its checkpoint, or from its configuration.

Light to import: no torch, no transformers, and no weights are read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Any

from embfact.config.sections import ModelConfig
from embfact.embeddings.layout import Size
from embfact.models.backbones import TableShape, cached, origin_of, read_config, table_shape
from embfact.models.size import tensor_shapes
from embfact.models.weight_files import WEIGHTS, weight_files

# Their own classification heads: a dense H x H layer (or pooler) and a linear one, both with a bias; or a linear layer
# alone, without one.
_DENSE_HEAD = frozenset(
    ("albert", "bert", "camembert", "deberta", "deberta-v2", "distilbert", "electra", "mpnet", "roberta", "xlm-roberta")
)
_LINEAR_HEAD = frozenset(("gpt2", "llama", "qwen2", "qwen3"))
_TABLES = ("word_embeddings", "tok_embeddings", "embed_tokens", "wte")
# Parts of a checkpoint that a classifier does not load: poolers, and heads for other tasks.
_LEFT_OUT = {"pooler", "cls", "lm_head", "score", "classifier", "pre_classifier", "predictions", "pooled_head", "head"}
_LEFT_OUT |= {"vocab_transform", "vocab_layer_norm", "vocab_projector", "discriminator_predictions", "qa_outputs"}


@lru_cache(maxsize=16)
def dense_size(document: str, pooling: str | None, outputs: int) -> Size | None:
    """The size of a dense classifier in float32; None if its shapes are not known before it is loaded.

    Args:
        document: The backbone, a `ModelConfig` as JSON.
        pooling: ``task.pooling``; None for the backbone's own head.
        outputs: Numbers that it predicts for a text.

    Raises:
        ModelError: If a file of the backbone cannot be read.
    """
    model = ModelConfig.model_validate_json(document)
    shape, config = table_shape(model), read_config(model)
    if shape is None or config is None or pooling == "weighted":  # which also keeps the frequencies of tokens
        return None
    if model.static:
        body: int | None = shape.vocab_size * shape.embedding_size
        head: int | None = (shape.hidden_size + 1) * outputs
    else:
        body = _body(model, config, shape)
        head = _head(str(config.get("model_type")), pooling, shape.hidden_size, outputs)
    if body is None or head is None:
        return None
    return Size(body + head, 4 * (body + head))


def block_shrinkage(document: str, rank: int) -> int | None:
    """Parameters by which position and segment tables and the LayerNorm shrink if the whole block gets this width."""
    model = ModelConfig.model_validate_json(document)
    shape, config = table_shape(model), read_config(model) or {}
    if shape is None or config.get("model_type") not in _DENSE_HEAD:
        return None
    segments = config.get("type_vocab_size", 2 if config["model_type"] == "bert" else 0)
    counts = config.get("max_position_embeddings", 512), segments
    if not _are_counts(counts):
        return None
    return int((sum(counts) + 2) * (shape.embedding_size - rank))  # 2: weight and bias of the LayerNorm


def _body(model: ModelConfig, config: Mapping[str, Any], shape: TableShape) -> int | None:
    """Parameters of the backbone without pooler and head."""
    origin = origin_of(model)
    if origin is None:
        return _bert(config, shape) if config.get("model_type") == "bert" else None
    if isinstance(origin, Path):
        files = weight_files(origin)
    else:
        files = list(filter(None, [cached(origin, WEIGHTS, model.revision)]))
    shapes = {name: one for file in files for name, one in tensor_shapes(file).items()}
    table = next((name for name in shapes if name.split(".")[-2:-1] and name.split(".")[-2] in _TABLES), None)
    if table is None:
        return None
    # Heads for other tasks are beside the backbone, whose tensors share a prefix if there are any.
    prefix = table.split(".")[0] if len(table.split(".")) > 2 and not table.startswith("embeddings.") else ""
    parts = [name.split(".") for name in shapes if not prefix or name.startswith(f"{prefix}.")]
    kept = [names for names in parts if names[1 if prefix else 0] not in _LEFT_OUT]
    return sum(prod(shapes[".".join(names)]) for names in kept)


def _bert(config: Mapping[str, Any], shape: TableShape) -> int | None:
    """Parameters of a BERT of this architecture, with the defaults of transformers."""
    usual = {"intermediate_size": 3072, "max_position_embeddings": 512, "type_vocab_size": 2, "num_hidden_layers": 12}
    counts = [config.get(name, value) for name, value in usual.items()]
    if not _are_counts(counts):  # which the run itself will refuse
        return None
    (inner, positions, segments, layers), width = counts, shape.hidden_size
    rows = shape.vocab_size + positions + segments
    layer = 4 * (width + 1) * width + (width + 1) * inner + (inner + 1) * width + 4 * width
    return int(rows * width + 2 * width + layers * layer)


def _are_counts(values: Iterable[Any]) -> bool:
    return all(isinstance(value, int) and value >= 0 for value in values)


def _head(model_type: str, pooling: str | None, width: int, outputs: int) -> int | None:
    if pooling is not None:
        return (width + 1) * outputs
    if model_type in _LINEAR_HEAD:
        return width * outputs
    return (width + 1) * width + (width + 1) * outputs if model_type in _DENSE_HEAD else None
