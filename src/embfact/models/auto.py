"""What the Auto classes of transformers call for a saved directory, with ``trust_remote_code=True``.

transformers imports the small file that `embfact.models.auto_map` wrote into the directory; that file gets the loader
of each Auto class here. Nothing in transformers is changed, so plain models load as usual.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import torch
from huggingface_hub import snapshot_download
from transformers import PreTrainedConfig, PreTrainedModel

from embfact.errors import ModelError
from embfact.models.auto_map import model_class
from embfact.models.checkpoint import load_model
from embfact.models.own_save import own_save
from embfact.models.pooled import OPTION
from embfact.models.static import own_class

# Where on the hub a model is, and how to fetch it.
_HUB = {"cache_dir", "force_download", "local_files_only", "revision", "token"}
# Options of from_pretrained for pickles or adapters, which our directories do not contain.
_IGNORED = {"adapter_kwargs", "low_cpu_mem_usage", "proxies", "trust_remote_code", "use_safetensors", "weights_only"}


class Loader:
    """Loads compressed models for one Auto class; ``task`` is its name."""

    task: str

    @classmethod
    def register_for_auto_class(cls, auto_class: Any = None) -> None:
        """Do nothing: a loaded model has a class of transformers, whose code is not copied when it is saved."""

    @classmethod
    def from_pretrained(
        cls, directory: str | Path, *args: Any, config: PreTrainedConfig, **options: Any
    ) -> PreTrainedModel:
        """The model of a saved directory, or of a hub repository, with the head of this Auto class.

        A head that was not saved has new weights, and with ``ignore_mismatched_sizes`` also one that was saved in
        another size. ``dtype`` and ``device_map`` (one device) have their usual effect.

        Raises:
            ModelError: If the directory cannot be loaded, or an option would have no effect.
        """
        dtype = options.pop("dtype", options.pop("torch_dtype", None))
        device = options.pop("device_map", None)
        new_head = options.pop("ignore_mismatched_sizes", False)
        hub = {name: options.pop(name) for name in _HUB & options.keys()}
        subfolder = options.pop("subfolder", "")
        unknown = sorted(name for name in options if name not in _IGNORED and not name.startswith("_"))
        if unknown or args:
            raise ModelError(f"{', '.join(unknown) or args} has no effect on a compressed model; leave it out")
        pooled = cls.task == "AutoModelForSequenceClassification" and hasattr(config, OPTION)
        kind = own_class(config) if pooled else model_class(cls.task, config)
        if kind is None:
            raise ModelError(f"{cls.task} has no model of type {config.model_type}; use another Auto class")
        place = _local(directory, hub) / subfolder
        model = load_model(place, kind, config, new_head=new_head)
        own_save(model)
        if dtype not in (None, "auto"):
            model.to(getattr(torch, dtype) if isinstance(dtype, str) else dtype)
        return model if device is None else cast(Any, model).to(_device(device))


def _local(directory: str | Path, hub: dict[str, Any]) -> Path:
    """The directory, or the copy of a hub repository in the local cache."""
    if Path(directory).is_dir():
        return Path(directory)
    try:
        return Path(snapshot_download(str(directory), **hub, allow_patterns=["*.json", "*.safetensors"]))
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"{directory} is not a directory, and cannot be fetched from the hub ({reason})") from error


def loader(task: str) -> type[Loader]:
    """The loader of an Auto class, e.g. of ``AutoModelForCausalLM``."""
    return type(task, (Loader,), {"task": task})


def _device(device_map: Any) -> torch.device:
    place: Any = device_map.get("") if isinstance(device_map, dict) and len(device_map) == 1 else device_map
    try:
        return torch.device(place)
    except (RuntimeError, TypeError):
        raise ModelError(
            f"device_map={device_map} cannot place a compressed model; name one device, or call .to(DEVICE) afterwards"
        ) from None
