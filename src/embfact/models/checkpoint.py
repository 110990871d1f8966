"""Saving a compressed model and building it again: config.json with a blueprint, safetensors, tokenizer files."""

from __future__ import annotations

import copy
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import save_file
from transformers import AutoConfig, GenerationConfig, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from embfact.embeddings.base import TokenEmbedding
from embfact.embeddings.build import describe_embedding
from embfact.errors import ModelError
from embfact.models import auto_map
from embfact.models.backbones import TOKENIZER_FILES, weight_files
from embfact.models.compress import embedding_tensors, rebuild
from embfact.models.loading import load_tokenizer, quiet
from embfact.models.sharing import places_of
from embfact.models.size import unique_tensors
from embfact.models.static import OWN
from embfact.models.weights import fill, fill_backbone
from embfact.records.atomic import replacing

WEIGHTS = "model.safetensors"
GENERATION = "generation_config.json"
KNOWN = {"config.json", GENERATION, f"{auto_map.MODULE}.py", "chat_template.jinja", *TOKENIZER_FILES}


def save(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase | None, directory: str | Path) -> None:
    """Write a model, compressed or dense, and its tokenizer.

    The directory appears whole or not at all; an older model of the same name is replaced.

    Args:
        model: The model; every tensor is written once, in the dtype it has.
        tokenizer: Its tokenizer; None writes the model alone.
        directory: Where to write.

    Raises:
        ModelError: If the model is none of transformers' classes, or the directory holds something else than a model.
    """
    model = getattr(model, "_orig_mod", model)  # what torch.compile has wrapped
    kind = type(model).__name__
    if not isinstance(model, PreTrainedModel):
        raise ModelError(f"only a model of transformers can be saved (found a {kind}); save a part that is one")
    if any(tensor.is_meta for tensor in model.state_dict().values()):
        raise ModelError(f"this {kind} is on the meta device and has no values; load its weights first")
    directory = Path(directory).absolute()
    _check_target(directory)
    if _find_class(model.config, kind) is not type(model):
        raise ModelError(f"a {kind} is no class of transformers and could not be loaded again; save a part that is one")
    with _replacing(directory) as temporary, quiet():
        config = copy.deepcopy(model.config)
        config.architectures = [kind]
        config.dtype = _dtype(model)
        state = unique_tensors(model)
        blueprint = config.embfact = _blueprint(model)
        plain = blueprint is None or auto_map.is_plain(blueprint)
        if blueprint is None:
            del config.embfact
        if not plain or kind in OWN:
            auto_map.write(config, temporary)
        if blueprint and not plain:
            # In the place of the dense table: a loader that does not read the blueprint refuses the file, where it
            # would otherwise draw a table at random.
            state.setdefault(f"{blueprint['inputs'][0]}.weight", torch.empty(0))
        config.save_pretrained(temporary)
        if model.can_generate():
            model.generation_config.save_pretrained(temporary)
        if tokenizer is not None:
            tokenizer.save_pretrained(temporary)
        save_file({n: _alone(tensor) for n, tensor in state.items()}, temporary / WEIGHTS, metadata={"format": "pt"})
        # safetensors writes for the owner alone; the weights are for whom their configuration is for.
        shutil.copymode(temporary / "config.json", temporary / WEIGHTS)


def load(directory: str | Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Build a saved model again, in evaluation mode, on the CPU and with the dtypes of the file, and its tokenizer.

    Args:
        directory: A directory that `save` wrote.

    Raises:
        ModelError: If a file is missing, damaged, a pickle, or does not fit the others.
    """
    directory = Path(directory)
    with _reading(directory):
        tokenizer = load_tokenizer(str(directory), trust_remote_code=False)
    return load_model(directory), tokenizer


def load_model(
    directory: str | Path,
    kind: type[PreTrainedModel] | None = None,
    config: PreTrainedConfig | None = None,
    *,
    new_head: bool = False,
) -> PreTrainedModel:
    """Build a saved model again; see `load`.

    Nothing is fitted anew: the blueprint gives the shapes and the file every weight. No code of the directory is run.

    Args:
        directory: A directory that `save` wrote, with or without a tokenizer.
        kind: Another class of the same backbone: a head that was not saved starts with new weights.
        config: Its configuration with changes of the caller's.
        new_head: Whether a head that has another size than the saved one is to start with new weights too.

    Raises:
        ModelError: As `load`.
    """
    directory = Path(directory)
    with _reading(directory):
        weights = weight_files(directory)[0]
        config = config or AutoConfig.from_pretrained(directory, trust_remote_code=False)
        vars(config).pop("auto_map", None)
        saved = _saved_class(config, directory)
        with torch.random.fork_rng(devices=[]):
            # Building draws weights that are overwritten; the caller's random numbers go on as before.
            model = (kind or saved)._from_config(config)
            rebuild(model)
        if type(model) is saved and not new_head:
            fill(model, weights)
        else:
            fill_backbone(model, weights, new_head=new_head)
        if model.can_generate() and (directory / GENERATION).is_file():
            model.generation_config = GenerationConfig.from_pretrained(directory)
    return model.eval()


def _blueprint(model: PreTrainedModel) -> dict[str, Any] | None:
    """The blueprint as the model is now: it may be a larger one than was compressed, or cast to another dtype since."""
    blueprint, embedding = getattr(model.config, "embfact", None), model.get_input_embeddings()
    if not blueprint or not isinstance(embedding, TokenEmbedding) or "adapter" in blueprint:
        return blueprint or None
    places = places_of(model, embedding)
    return {**blueprint, **places.as_json(), "embedding": describe_embedding(embedding)}


def _saved_class(config: PreTrainedConfig, directory: Path) -> type[PreTrainedModel]:
    name = next(iter(config.architectures or ()), "")
    found = _find_class(config, name)
    if found is None:
        raise ModelError(
            f"config.json in {directory} names the class {name!r}, which is none of transformers' models of type "
            f"{config.model_type}; save the model again"
        )
    return found


def _find_class(config: PreTrainedConfig, name: str) -> type[PreTrainedModel] | None:
    """A model class of transformers, or of ours, that has this kind of configuration; no other package is looked at."""
    found = OWN.get(name) or getattr(transformers, name, None)
    module = type(config).__module__
    if found is None and module.startswith("transformers.models."):
        found = getattr(import_module(module.replace(".configuration_", ".modeling_")), name, None)
    if not (isinstance(found, type) and issubclass(found, PreTrainedModel)):
        return None
    return found if isinstance(config, found.config_class or ()) else None


def _dtype(model: PreTrainedModel) -> torch.dtype:
    """The dtype of most weights besides the token embedding, which may be stored in another."""
    embedding = set(embedding_tensors(model))
    counts: Counter[torch.dtype] = Counter()
    for name, tensor in unique_tensors(model).items():
        if name not in embedding and tensor.is_floating_point():
            counts[tensor.dtype] += tensor.numel()
    return counts.most_common(1)[0][0] if counts else model.dtype


def _alone(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor in memory of its own, as a file needs it."""
    whole = tensor.is_contiguous() and tensor.untyped_storage().nbytes() == tensor.numel() * tensor.element_size()
    return tensor if whole else tensor.clone(memory_format=torch.contiguous_format)


def _check_target(directory: Path) -> None:
    if directory.exists() and not directory.is_dir():
        raise ModelError(f"{directory} is a file; give a directory to save to")
    entries = {entry.name for entry in directory.iterdir()} if directory.is_dir() else set()
    others = sorted(name for name in entries if name not in KNOWN and not Path(name).match("model*.safetensors*"))
    if others or (entries and "config.json" not in entries):
        raise ModelError(
            f"{directory} holds {min(others or entries)}, which is no part of a saved model and would be lost; give a "
            "new or empty directory"
        )


@contextmanager
def _reading(directory: Path) -> Iterator[None]:
    """Turn what transformers, tokenizers and others raise for an unusable directory into words."""
    if not directory.is_dir():
        raise ModelError(f"there is no directory {directory}; give the directory of a saved model")
    try:
        with quiet():
            yield
    except ModelError:
        raise
    except Exception as error:  # each library has kinds of its own
        words = (str(error).strip() or type(error).__name__).split("\n")[0][:200]
        raise ModelError(f"{directory} cannot be loaded ({words}); save it again") from error


@contextmanager
def _replacing(directory: Path) -> Iterator[Path]:
    """A new directory that takes the place of `directory` once it is complete."""
    with ExitStack() as stack:
        try:
            directory.parent.mkdir(parents=True, exist_ok=True)
            new = stack.enter_context(replacing(directory))
        except OSError as error:
            reason = error.strerror or error
            raise ModelError(
                f"{directory} cannot be made ({reason}); give a directory that you may write to"
            ) from error
        yield new
