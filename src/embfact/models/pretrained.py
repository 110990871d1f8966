"""The weights of a backbone, from wherever they are, in a model with a head."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification, PreTrainedConfig, PreTrainedModel

from embfact.config.sections import ModelConfig
from embfact.errors import ModelError
from embfact.models.backbones import hub_commit, origin_of
from embfact.models.pooled import OPTION, body_class, body_options, encoder_of, new_body
from embfact.models.static import own_class
from embfact.models.weight_files import weight_files
from embfact.models.weights import fill, read_weights


def classifier(model: ModelConfig, config: PreTrainedConfig) -> PreTrainedModel:
    """A backbone with the head that its configuration asks for, in float32; what has no weights yet is drawn.

    Args:
        model: Where it is.
        config: Its configuration, with the labels of the task.

    Raises:
        ModelError: If a part of the backbone is missing, or a run was trained for other labels.
    """
    origin = origin_of(model)
    if hasattr(config, OPTION) and model.from_run is not None:
        return _as_left(model, config)
    if hasattr(config, OPTION):
        body = new_body(config) if origin is None else body_of(model, config)
        return own_class(config)(config, body)
    if origin is None:
        return AutoModelForSequenceClassification.from_config(config, dtype=torch.float32, trust_remote_code=False)
    backbone, absent = _pretrained(AutoModelForSequenceClassification, model, config)
    _check_weights(backbone, absent, model)
    return backbone


def _pretrained(kind: Any, model: ModelConfig, config: PreTrainedConfig, **options: Any) -> tuple[Any, set[str]]:
    """A pretrained model, and the names of what its files lack or have in another shape."""
    origin = origin_of(model)
    if isinstance(origin, Path):
        weight_files(origin)
    backbone, report = kind.from_pretrained(
        **pinned(origin, model.revision),
        config=config,
        dtype=torch.float32,
        use_safetensors=True,
        # A head for another number of classes is drawn anew; the backbone itself has to fit, which the caller checks.
        ignore_mismatched_sizes=True,
        output_loading_info=True,
        **options,
    )
    return backbone, {*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])}


def body_of(model: ModelConfig, config: PreTrainedConfig) -> PreTrainedModel:
    """A pretrained backbone without a head; of an encoder and a decoder the encoder.

    Raises:
        ModelError: If a part of it is missing.
    """
    kind = body_class(config)
    body, absent = _pretrained(kind, model, config, **body_options(kind))
    _check_weights(body, (f"{body.base_model_prefix}.{name}" for name in absent), model)
    return encoder_of(body)


def _as_left(model: ModelConfig, config: PreTrainedConfig) -> PreTrainedModel:
    """What a run has ended with, if it pools tokens."""
    backbone = own_class(config)(config)
    directory = Path(str(origin_of(model)))
    fill(backbone, read_weights(weight_files(directory)), directory)
    return backbone


def own_memory(backbone: PreTrainedModel) -> None:
    """Let no weight be a view of the mapped file: none of its pages would be given back before the last of them.

    The table, the largest of them, is about to be replaced.
    """
    for weight in backbone.parameters():
        weight.data = weight.data.clone()


def _check_weights(backbone: PreTrainedModel, absent: Iterable[str], model: ModelConfig) -> None:
    """Refuse a checkpoint without a part of the backbone: it would be trained from random numbers unnoticed."""
    if model.from_run is not None and (foreign := sorted(absent)):
        raise ModelError(
            f"the run {model.from_run} has no {foreign[0]} of this shape: it was trained for other labels; "
            "start from a run on the same data"
        )
    # A pooler is absent from checkpoints of models that were pretrained without one.
    needed = sorted(k for k in absent if k.startswith(f"{backbone.base_model_prefix}.") and "pooler" not in k)
    if not needed:
        return
    raise ModelError(
        f"the checkpoint of model {model.label} lacks {len(needed)} weights of a {backbone.config.model_type}, "
        f"or has them in another shape (first: {needed[0]}); its config.json belongs to another model"
    )


def pinned(origin: Path | str | None, revision: str | None) -> dict[str, Any]:
    """Arguments of ``from_pretrained`` that pin where a tokenizer or backbone is read from."""
    arguments: dict[str, Any] = {"pretrained_model_name_or_path": str(origin), "trust_remote_code": False}
    if isinstance(origin, str):
        arguments["revision"] = hub_commit(origin, revision)
    return arguments
