"""A backbone with a classification or regression head, and its tokenizer."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging

from embfact.errors import ModelError, nearest
from embfact.models.backbones import hub_commit, origin_of, resolve, weight_files
from embfact.sections import ModelConfig

# hidden_dropout_prob, attention_dropout, resid_pdrop, ...; not layerdrop, which drops whole layers.
_DROPOUT = re.compile(r"(.+_)?p?drop(out)?(_prob|_rate)?")


def load_backbone(
    model: ModelConfig, *, num_labels: int, label_names: tuple[str, ...] | None, dropout: float | None, seed: int
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a backbone in float32 and training mode with a head for sequences, and its tokenizer.

    Weights come from safetensors files only, and no code of a checkpoint is run. A head that the checkpoint has and
    that fits is kept; a new one depends on `seed` alone, so that every method starts from the same head. With
    ``model.from_run`` all of it, head and tokenizer included, is what that run ended with.

    Args:
        model: The backbone.
        num_labels: Classes, or 1 for a regression.
        label_names: Names of the classes in the order of their codes.
        dropout: Probability for every dropout of the model; None leaves the backbone's own.
        seed: Seed of what is drawn at random: the head, or all weights of an architecture.

    Raises:
        ModelError: If the backbone cannot be loaded, or does not go with its tokenizer.
    """
    with quiet(), _words_for(model):
        tokenizer = load_tokenizer(**_tokenizer_origin(model))
        config = _config(model, tokenizer)
        labels = label_names if label_names and num_labels > 1 else [f"LABEL_{code}" for code in range(num_labels)]
        config.id2label = dict(enumerate(labels))
        config.label2id = {label: code for code, label in enumerate(labels)}
        if dropout is not None:
            set_dropout(config, dropout)
        # Only the CPU generator is seeded and put back: everything is built on the CPU.
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            backbone = _build(model, config)
    _check_tokenizer(backbone, tokenizer, model)
    _own_memory(backbone)
    # transformers gives pretrained models in evaluation mode, and Lightning keeps the mode: dropout would never act.
    return backbone.train(), tokenizer


def load_tokenizer(pretrained_model_name_or_path: str, **options: Any) -> PreTrainedTokenizerBase:
    """A tokenizer that has words.

    Args:
        pretrained_model_name_or_path: A directory or hub id.
        **options: Of ``AutoTokenizer.from_pretrained``.

    Raises:
        ModelError: If the tokenizer files are missing: transformers then gives one that knows special tokens alone,
            and every word would be unknown.
    """
    tokenizer = AutoTokenizer.from_pretrained(pretrained_model_name_or_path, **options)
    if len(tokenizer) <= len(tokenizer.all_special_ids):
        raise ModelError(
            f"{pretrained_model_name_or_path} has no tokenizer files; put the backbone's tokenizer.json there, "
            "or set model.tokenizer"
        )
    return tokenizer


def set_dropout(config: PreTrainedConfig, probability: float) -> None:
    """Set every dropout probability that a transformers configuration has, in place.

    Args:
        config: The configuration; its names differ from one architecture to the next.
        probability: The new value of each.
    """
    for name in config.to_dict():
        if _DROPOUT.fullmatch(name):
            setattr(config, name, probability)


def _tokenizer_origin(model: ModelConfig) -> dict[str, Any]:
    if model.from_run is not None or model.tokenizer in (None, model.name_or_path):
        return _pinned(origin_of(model), model.revision)
    return _pinned(resolve(str(model.tokenizer)), None)


def _pinned(origin: Path | str | None, revision: str | None) -> dict[str, Any]:
    """Arguments of ``from_pretrained`` that pin where a tokenizer or backbone is read from."""
    arguments: dict[str, Any] = {"pretrained_model_name_or_path": str(origin), "trust_remote_code": False}
    if isinstance(origin, str):
        arguments["revision"] = hub_commit(origin, revision)
    return arguments


def _config(model: ModelConfig, tokenizer: PreTrainedTokenizerBase) -> PreTrainedConfig:
    origin = origin_of(model)
    if origin is not None:
        config = AutoConfig.from_pretrained(**_pinned(origin, model.revision))
        if model.from_run is not None:
            vars(config).pop("embfact", None)  # the blueprint of a table that was kept as it is
        return config
    values = {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id} | (model.architecture or {})
    model_type = values.pop("model_type")
    try:
        known = AutoConfig.for_model(model_type)
    except ValueError:
        from transformers.models.auto.configuration_auto import CONFIG_MAPPING

        raise ModelError(
            f"unknown architecture.model_type {model_type!r}; {nearest(model_type, CONFIG_MAPPING)}"
        ) from None
    for name in values:
        if not hasattr(known, name):
            raise ModelError(f"{model_type} has no option architecture.{name}; {nearest(name, known.to_dict())}")
    return AutoConfig.for_model(model_type, **values)


def _build(model: ModelConfig, config: PreTrainedConfig) -> PreTrainedModel:
    origin = origin_of(model)
    if origin is None:
        return AutoModelForSequenceClassification.from_config(config, dtype=torch.float32, trust_remote_code=False)
    if isinstance(origin, Path):
        weight_files(origin)
    backbone, report = AutoModelForSequenceClassification.from_pretrained(
        **_pinned(origin, model.revision),
        config=config,
        dtype=torch.float32,
        use_safetensors=True,
        # A head for another number of classes is drawn anew; the backbone itself has to fit, which is checked below.
        ignore_mismatched_sizes=True,
        output_loading_info=True,
    )
    absent = {*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])}
    _check_weights(backbone, absent, model)
    return backbone


def _own_memory(backbone: PreTrainedModel) -> None:
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
    if getattr(backbone.config, "embfact", None):
        raise ModelError(f"model {model.label} was saved with a factorized table; start from the dense backbone")
    raise ModelError(
        f"the checkpoint of model {model.label} lacks {len(needed)} weights of a {backbone.config.model_type}, "
        f"or has them in another shape (first: {needed[0]}); its config.json belongs to another model"
    )


def _check_tokenizer(backbone: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, model: ModelConfig) -> None:
    rows = backbone.config.vocab_size
    if len(tokenizer) > rows:
        raise ModelError(
            f"the tokenizer of model {model.label} has {len(tokenizer)} tokens and its table {rows} rows; "
            "set model.tokenizer to the one the backbone was trained with"
        )
    if tokenizer.pad_token_id is None:
        raise ModelError(
            f"the tokenizer of model {model.label} has no padding token; set model.tokenizer to one that has"
        )


@contextmanager
def _words_for(model: ModelConfig) -> Iterator[None]:
    """Turn what transformers raises for an unusable checkpoint into one line."""
    try:
        yield
    except ModelError:
        raise
    except Exception as error:  # transformers, tokenizers, safetensors and the hub each have kinds of their own
        words = " ".join(str(error).split())[:300]
        raise ModelError(
            f"model {model.label} cannot be loaded ({type(error).__name__}: {words}); set model.name_or_path to a "
            "directory with config.json, model.safetensors and tokenizer files of a text encoder"
        ) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers' progress bar and its report of a new head away from the terminal."""
    verbosity, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bar:
            logging.enable_progress_bar()
