"""Descriptions of embedding modules as JSON values, and empty modules built from them to load weights into."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from embfact.embeddings.base import TokenEmbedding
from embfact.embeddings.clustered import ClusteredEmbedding
from embfact.embeddings.decoder import DecoderEmbedding
from embfact.embeddings.dense import DenseEmbedding
from embfact.embeddings.grouped import GroupedEmbedding
from embfact.embeddings.hashed import HashedEmbedding
from embfact.embeddings.hybrid import HybridEmbedding
from embfact.embeddings.layout import Storage
from embfact.embeddings.low_rank import LowRankEmbedding
from embfact.embeddings.product_quantized import ProductQuantizedEmbedding
from embfact.embeddings.pruned import PrunedEmbedding
from embfact.embeddings.residual_quantized import ResidualQuantizedEmbedding
from embfact.embeddings.tensor_train import TensorTrainEmbedding
from embfact.embeddings.transform_coded import TransformCodedEmbedding
from embfact.errors import nearest

# Saved checkpoints hold these names: a class may be renamed, its name here may not.
CLASSES: dict[str, type[TokenEmbedding]] = {
    "dense": DenseEmbedding,
    "low_rank": LowRankEmbedding,
    "hybrid": HybridEmbedding,
    "grouped": GroupedEmbedding,
    "tensor_train": TensorTrainEmbedding,
    "product_quantized": ProductQuantizedEmbedding,
    "residual_quantized": ResidualQuantizedEmbedding,
    "clustered": ClusteredEmbedding,
    "pruned": PrunedEmbedding,
    "hashed": HashedEmbedding,
    "decoder": DecoderEmbedding,
    "transform_coded": TransformCodedEmbedding,
}


def describe_embedding(module: TokenEmbedding) -> dict[str, Any]:
    """What `build_embedding` needs to build a module of the same shape, as JSON values.

    Raises:
        ValueError: If the class of the module has no name in `CLASSES`.
    """
    for name, kind in CLASSES.items():
        if type(module) is kind:
            tables = module.tables()
            kept = {**tables[0].storage.as_json(), "dtype": str(tables[0].dtype).removeprefix("torch.")}
            scaled = {} if module.scale == 1 else {"scale": module.scale}
            return {"class": name, **kept, **scaled, **module.spec()}
    raise ValueError(f"{type(module).__name__} cannot be described; give it a name in embfact.embeddings.build.CLASSES")


def build_embedding(spec: Mapping[str, Any]) -> TokenEmbedding:
    """An embedding module of the described shape, all zero, to load saved weights into.

    Args:
        spec: ``class`` (a name in `CLASSES`), ``storage``, ``storage_group``, ``dtype``, ``scale``, and the constructor
            arguments of that class.

    Raises:
        ValueError: If the class is unknown or its arguments do not fit.
    """
    arguments = dict(spec)
    name = arguments.pop("class", None)
    kept: dict[str, Any] = {k: arguments.pop(k) for k in ("storage", "storage_group") if k in arguments}
    dtype, scale = arguments.pop("dtype", "float32"), arguments.pop("scale", 1.0)
    if name not in CLASSES:
        raise ValueError(f"unknown embedding class {name!r}; {nearest(str(name), CLASSES)}")
    if not isinstance(getattr(torch, str(dtype), None), torch.dtype):
        raise ValueError(f"the description of a {name} embedding is damaged (dtype {dtype})")
    try:
        storage = Storage.of_json(kept)
    except ValueError as error:
        raise ValueError(f"the description of a {name} embedding is damaged ({error})") from None
    try:
        module = CLASSES[name](**arguments).to(getattr(torch, dtype))
    except TypeError as error:
        raise ValueError(f"the description of a {name} embedding is damaged ({error}); save the model again") from None
    module.scale = float(scale)
    module.allocate_tables(storage)
    return module
