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

from embfact.config.sections import ModelConfig, Pooling
from embfact.errors import ModelError, nearest
from embfact.models import word_vectors
from embfact.models.backbones import has_own_tokenizer, hub_commit, origin_of, refuse_compressed, tokenizer_origin
from embfact.models.pooled import DEFAULT, OPTION, body_class, body_options, encoder_of, new_body
from embfact.models.static import StaticConfig, from_table, own_class
from embfact.models.table import dense_table
from embfact.models.token_ids import check_ids, largest_token_id, take_types_of
from embfact.models.weight_files import weight_files
from embfact.models.weights import fill, read_weights

# hidden_dropout_prob, attention_dropout, resid_pdrop, ...; not layerdrop, which drops whole layers.
_DROPOUT = re.compile(r"(.+_)?p?drop(out)?(_prob|_rate)?")


def load_backbone(
    model: ModelConfig,
    *,
    num_labels: int,
    label_names: tuple[str, ...] | None,
    dropout: float | None,
    seed: int,
    pooling: Pooling | None = None,
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a backbone in float32 and training mode with a head for sequences, and its tokenizer.

    Weights come only from safetensors files, and no code of a checkpoint is run. A head that the checkpoint has and
    that fits is kept; a new one depends on `seed` alone, so that every method starts from the same head. With
    ``model.from_run`` everything, including head and tokenizer, is what that run ended with.

    Args:
        model: The backbone.
        num_labels: Classes, or 1 for a regression.
        label_names: Names of the classes in the order of their codes.
        dropout: Probability of every dropout of the model; None leaves the backbone's own.
        seed: Seed of random weights: the head, or all weights of an architecture.
        pooling: How tokens become one vector; None uses the backbone's own head.

    Raises:
        ModelError: If the backbone cannot be loaded, or does not match its tokenizer.
    """
    with quiet(), _words_for(model):
        tokenizer = _tokenizer(model)
        # Only the CPU generator is seeded and restored: everything is built on the CPU.
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            table = _static_table(model, tokenizer)
            config: PreTrainedConfig
            if table is None:
                config = _config(model, tokenizer)
            else:
                (rows, columns), pad = table.shape, tokenizer.pad_token_id
                config = StaticConfig(vocab_size=rows, hidden_size=columns, pad_token_id=pad)
            _describe_head(config, num_labels, label_names, dropout)
            _set_pooling(config, pooling, model)
            backbone = classifier(model, config) if table is None else from_table(table, config)
    _check_tokenizer(backbone, tokenizer, model)
    take_types_of(backbone, tokenizer)
    if backbone.config.pad_token_id is None:  # heads that read the last token need to know where a text ends
        backbone.config.pad_token_id = tokenizer.pad_token_id
    own_memory(backbone)
    # transformers returns pretrained models in evaluation mode, and Lightning keeps it: dropout would never act.
    return backbone.train(), tokenizer


def load_tokenizer(pretrained_model_name_or_path: str, **options: Any) -> PreTrainedTokenizerBase:
    """A tokenizer with a vocabulary.

    Args:
        pretrained_model_name_or_path: A directory or hub id.
        **options: Of ``AutoTokenizer.from_pretrained``.

    Raises:
        ModelError: If the tokenizer files are missing: transformers then returns one that knows only special tokens,
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
    """Set every dropout probability of a transformers configuration, whatever the architecture calls it, in place."""
    for name in config.to_dict():
        if _DROPOUT.fullmatch(name):
            setattr(config, name, probability)


def _tokenizer(model: ModelConfig) -> PreTrainedTokenizerBase:
    origin = tokenizer_origin(model)
    if isinstance(origin, Path) and word_vectors.is_here(origin):
        return word_vectors.tokenizer(origin)
    return load_tokenizer(**pinned(origin, model.revision if has_own_tokenizer(model) else None))


def _static_table(model: ModelConfig, tokenizer: PreTrainedTokenizerBase) -> torch.Tensor | None:
    """The table of a model that is only a table, shape ``(V, H)``; None for one with layers, or as a run left it."""
    origin = origin_of(model)
    if isinstance(origin, Path) and word_vectors.is_here(origin):
        return word_vectors.table(origin)
    if not model.static or model.from_run is not None:
        return None
    config = _config(model, tokenizer)
    return dense_table(new_body(config) if origin is None else body_of(model, config)).weight.detach().clone()


def _describe_head(
    config: PreTrainedConfig, num_labels: int, label_names: tuple[str, ...] | None, dropout: float | None
) -> None:
    labels = label_names if label_names and num_labels > 1 else [f"LABEL_{code}" for code in range(num_labels)]
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: code for code, label in enumerate(labels)}
    if dropout is not None:
        set_dropout(config, dropout)


def _set_pooling(config: PreTrainedConfig, pooling: Pooling | None, model: ModelConfig) -> None:
    """Set in a configuration how tokens are pooled; a run to start from must have pooled them in the same way."""
    found = getattr(config, OPTION, None)
    asked_for = pooling or (DEFAULT if isinstance(config, StaticConfig) else None)
    if model.from_run is not None and found != asked_for:
        raise ModelError(
            f"the run {model.from_run} was trained with task.pooling={found or 'null'}, and this command has "
            f"{pooling or 'null'}; use the same"
        )
    if pooling is not None:
        setattr(config, OPTION, pooling)


def _config(model: ModelConfig, tokenizer: PreTrainedTokenizerBase) -> PreTrainedConfig:
    origin = origin_of(model)
    if origin is not None:
        config = AutoConfig.from_pretrained(**pinned(origin, model.revision))
        refuse_compressed(config.to_dict(), f"model {model.label}")
        if model.from_run is not None:
            vars(config).pop("embfact", None)  # the blueprint of a table that was left dense
        return config
    rows = largest_token_id(tokenizer) + 1
    values = {"vocab_size": rows, "pad_token_id": tokenizer.pad_token_id} | (model.architecture or {})
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


def _check_tokenizer(backbone: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, model: ModelConfig) -> None:
    check_ids(tokenizer, backbone, f"model {model.label}")
    if tokenizer.pad_token_id is None:
        raise ModelError(
            f"the tokenizer of model {model.label} has no padding token; set model.tokenizer to one with it"
        )


@contextmanager
def _words_for(model: ModelConfig) -> Iterator[None]:
    """Turn what transformers raises for an unusable checkpoint into a message on one line."""
    try:
        yield
    except ModelError:
        raise
    except Exception as error:  # transformers, tokenizers, safetensors and the hub each have their own types
        words = " ".join(str(error).split())[:300]
        raise ModelError(
            f"model {model.label} cannot be loaded ({type(error).__name__}: {words}); set model.name_or_path to a "
            "directory with config.json, model.safetensors and tokenizer files of a text encoder"
        ) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers' progress bar and its report of a new head off the terminal."""
    verbosity, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bar:
            logging.enable_progress_bar()


def classifier(model: ModelConfig, config: PreTrainedConfig) -> PreTrainedModel:
    """A backbone with the head that its configuration describes, in float32; missing weights are drawn.

    Raises:
        ModelError: If a part of the backbone is missing, or a run was trained for other labels.
    """
    origin = origin_of(model)
    if hasattr(config, OPTION) and model.from_run is not None:
        left, directory = own_class(config)(config), Path(str(origin))
        fill(left, read_weights(weight_files(directory)), directory)
        return left
    if hasattr(config, OPTION):
        body = new_body(config) if origin is None else body_of(model, config)
        return own_class(config)(config, body)
    if origin is None:
        return AutoModelForSequenceClassification.from_config(config, dtype=torch.float32, trust_remote_code=False)
    backbone, absent = _pretrained(AutoModelForSequenceClassification, model, config)
    _check_weights(backbone, absent, model)
    return backbone


def _pretrained(kind: Any, model: ModelConfig, config: PreTrainedConfig, **options: Any) -> tuple[Any, set[str]]:
    """A pretrained model, and the names of the weights that its files lack or have in another shape."""
    origin = origin_of(model)
    if isinstance(origin, Path):
        weight_files(origin)
    backbone, report = kind.from_pretrained(
        **pinned(origin, model.revision),
        config=config,
        dtype=torch.float32,
        use_safetensors=True,
        # A head for another number of classes is drawn; the backbone itself must fit, which the caller checks.
        ignore_mismatched_sizes=True,
        output_loading_info=True,
        **options,
    )
    return backbone, {*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])}


def body_of(model: ModelConfig, config: PreTrainedConfig) -> PreTrainedModel:
    """A pretrained backbone without a head; of an encoder-decoder the encoder.

    Raises:
        ModelError: If a part of it is missing.
    """
    kind = body_class(config)
    body, absent = _pretrained(kind, model, config, **body_options(kind))
    _check_weights(body, (f"{body.base_model_prefix}.{name}" for name in absent), model)
    return encoder_of(body)


def own_memory(backbone: PreTrainedModel) -> None:
    """Copy weights out of the mapped file, none of whose pages would be freed before the last weight.

    The table, the largest of them, is about to be replaced.
    """
    for weight in backbone.parameters():
        weight.data = weight.data.clone()


def _check_weights(backbone: PreTrainedModel, absent: Iterable[str], model: ModelConfig) -> None:
    """Refuse a checkpoint without a part of the backbone, which would silently be trained from random numbers."""
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
