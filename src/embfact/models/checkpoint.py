"""Saving a compressed model and building it again: config.json with a blueprint, safetensors, tokenizer files."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from embfact.errors import ModelError
from embfact.models.backbones import weight_files
from embfact.models.compress import rebuild
from embfact.models.loading import load_tokenizer, quiet

WEIGHTS = "model.safetensors"


def save(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, directory: str | Path) -> None:
    """Write a model, compressed or dense, and its tokenizer.

    The directory appears whole or not at all; an older one of the same name is replaced.

    Args:
        model: The model; every tensor is written in the dtype it has.
        tokenizer: Its tokenizer.
        directory: Where to write.
    """
    with _replacing(Path(directory)) as temporary:
        model.config.architectures = [type(model).__name__]
        model.config.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
        state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
        save_file(state, temporary / WEIGHTS, metadata={"format": "pt"})


def load(directory: str | Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Build a saved model again, in evaluation mode, on the CPU and with the dtypes of the file.

    Nothing is fitted anew: the blueprint gives the shapes and the file every weight.

    Args:
        directory: A directory that `save` wrote.

    Raises:
        ModelError: If a file is missing, damaged, a pickle, or does not fit the others.
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise ModelError(f"there is no directory {directory}; give the checkpoint directory of a run")
    weights = weight_files(directory)[0]
    with quiet():
        try:
            config = AutoConfig.from_pretrained(directory, trust_remote_code=False)
            tokenizer = load_tokenizer(str(directory), trust_remote_code=False)
            # Building draws weights that are overwritten; the caller's random numbers go on as before.
            with torch.random.fork_rng(devices=[]):
                model = AutoModelForSequenceClassification.from_config(config, trust_remote_code=False)
                rebuild(model)
        except ModelError:
            raise
        except Exception as error:  # transformers and tokenizers each have kinds of their own
            raise ModelError(f"{directory} cannot be loaded ({_first_line(error)}); save it again") from error
    _fill(model, weights)
    return model.eval(), tokenizer


def _fill(model: nn.Module, weights: Path) -> None:
    try:
        state = load_file(weights)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{weights} is damaged or cut short ({_first_line(error)}); save it again") from None
    try:
        # Assigning keeps the dtypes of the file, as for a float16 table inside a float32 model.
        faults = model.load_state_dict(state, strict=False, assign=True)
    except RuntimeError as error:
        raise ModelError(f"{weights} does not fit its config.json ({_last_line(error)}); save both again") from None
    for words, names in (("lacks", faults.missing_keys), ("has no place for", faults.unexpected_keys)):
        if names:
            raise ModelError(
                f"{weights} {words} {len(names)} weights of its config.json (first: {names[0]}); save it again"
            )


@contextmanager
def _replacing(directory: Path) -> Iterator[Path]:
    """A temporary directory beside `directory` that takes its place once it is complete."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=directory.parent, prefix=f".{directory.name}-"))
    try:
        new, old = temporary / "new", temporary / "old"
        new.mkdir()
        yield new
        if directory.exists():
            directory.rename(old)
        new.rename(directory)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).split("\n")[0][:200]


def _last_line(error: Exception) -> str:
    return str(error).strip().split("\n")[-1].strip()[:200]
