"""A directory with a model, compressed or dense, and its tokenizer: saved completely, and loaded again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch
from transformers import AutoConfig, GenerationConfig, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from embfact.errors import ModelError
from embfact.models import auto_map
from embfact.models.compress import rebuild
from embfact.models.files import GENERATION, ModelFiles
from embfact.models.loading import load_tokenizer, quiet
from embfact.models.structure import build, find_class, has_pooler
from embfact.models.token_ids import check_ids, take_types_of
from embfact.models.tokenizer_files import TOKENIZER_FILES
from embfact.models.weight_files import WEIGHTS, weight_files
from embfact.models.weights import fill, fill_backbone, read_weights
from embfact.models.wrapping import unwrapped
from embfact.system.atomic import replacing

KNOWN = {"config.json", WEIGHTS, GENERATION, f"{auto_map.MODULE}.py", "chat_template.jinja", *TOKENIZER_FILES}


def save(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase | None, directory: str | Path) -> None:
    """Write a model, compressed or dense, and its tokenizer.

    The directory appears complete or not at all; an older model of the same name is replaced.

    Args:
        model: The model; every tensor is written once, in its dtype.
        tokenizer: Its tokenizer; None writes the model alone.
        directory: Where to write.

    Raises:
        ModelError: If the model is not of a class of transformers, or the directory holds something other than a model.
    """
    model = unwrapped(model)
    if not isinstance(model, PreTrainedModel):
        kind = type(model).__name__
        raise ModelError(f"only a model of transformers can be saved (found a {kind}); save a part that is one")
    directory = Path(directory).absolute()
    _check_target(directory)
    files = ModelFiles(model)
    if files.detail:
        raise ModelError(
            f"{files.detail}, so this one could not be loaded again; save a part that is a model of transformers, or "
            "the model as it was before it was quantized, pruned or given adapters (adapters can be merged)"
        )
    with replacing_directory(directory) as temporary, quiet():
        files.write(temporary)
        if tokenizer is not None:
            tokenizer.save_pretrained(temporary)


def load(directory: str | Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a saved model, in evaluation mode, on the CPU and with the dtypes of the file, and its tokenizer.

    Args:
        directory: A directory that `save` wrote.

    Raises:
        ModelError: If a file is missing, damaged, a pickle, or does not fit the others.
    """
    directory = Path(directory)
    with _reading(directory):
        tokenizer = load_tokenizer(str(directory), trust_remote_code=False)
    model = load_model(directory)
    check_ids(tokenizer, model, f"the model in {directory}")
    take_types_of(model, tokenizer)
    return model, tokenizer


def load_model(
    directory: str | Path,
    kind: type[PreTrainedModel] | None = None,
    config: PreTrainedConfig | None = None,
    *,
    new_head: bool = False,
) -> PreTrainedModel:
    """Load a saved model; see `load`.

    Nothing is fitted again: the blueprint gives the shapes and the file every weight. No code of the directory is run.

    Args:
        directory: A directory that `save` wrote, with or without a tokenizer.
        kind: Another class of the same backbone: a head that was not saved starts with new weights.
        config: Its configuration with the caller's changes.
        new_head: Whether a head whose size differs from the saved one also starts with new weights.

    Raises:
        ModelError: As `load`.
    """
    directory = Path(directory)
    with _reading(directory):
        files = weight_files(directory)
        config = config or AutoConfig.from_pretrained(directory, trust_remote_code=False)
        for name in ("auto_map", "transformers_weights"):  # of the directory, not of the model
            vars(config).pop(name, None)
        saved = _saved_class(config, directory)
        state = read_weights(files)
        exact = kind in (None, saved) and not new_head
        with torch.random.fork_rng(devices=[]):
            # Building draws weights that are overwritten; the caller's random state is kept.
            model = build(kind or saved, config, pooler=not exact or has_pooler(state))
            rebuild(model)
        if exact:
            fill(model, state, directory)
        else:
            fill_backbone(model, state, directory, new_head=new_head)
        if model.can_generate() and (directory / GENERATION).is_file():
            model.generation_config = GenerationConfig.from_pretrained(directory)
    return model.eval()


def _saved_class(config: PreTrainedConfig, directory: Path) -> type[PreTrainedModel]:
    name = next(iter(config.architectures or ()), "")
    found = find_class(config, name)
    if found is None:
        raise ModelError(
            f"config.json in {directory} names the class {name!r}, which is not a transformers model of type "
            f"{config.model_type}; build it, compress it as before, and load the weights with "
            "safetensors.torch.load_model(model, FILE, strict=False)"
        )
    return found


def _check_target(directory: Path) -> None:
    if directory.exists() and not directory.is_dir():
        raise ModelError(f"{directory} is a file; give a directory to save to")
    entries = {entry.name for entry in directory.iterdir()} if directory.is_dir() else set()
    others = sorted(name for name in entries if name not in KNOWN and not Path(name).match("model*.safetensors*"))
    if others or (entries and "config.json" not in entries):
        raise ModelError(
            f"{directory} holds {min(others or entries)}, which is not part of a saved model and would be lost; give "
            "a new or empty directory"
        )


@contextmanager
def _reading(directory: Path) -> Iterator[None]:
    """Turn what transformers, tokenizers and others raise for an unusable directory into a `ModelError`."""
    if not directory.is_dir():
        raise ModelError(f"there is no directory {directory}; give the directory of a saved model")
    try:
        with quiet():
            yield
    except ModelError:
        raise
    except Exception as error:  # each library has its own types
        words = (str(error).strip() or type(error).__name__).split("\n")[0][:200]
        raise ModelError(f"{directory} cannot be loaded ({words}); save it again") from error


@contextmanager
def replacing_directory(directory: Path) -> Iterator[Path]:
    """A new directory that replaces `directory` once it is complete."""
    with ExitStack() as stack:
        try:
            directory.parent.mkdir(parents=True, exist_ok=True)
            new = stack.enter_context(replacing(directory))
        except OSError as error:
            reason = error.strerror or error
            raise ModelError(f"{directory} cannot be created ({reason}); give a writable directory") from error
        yield new
