"""A compressed model's own ``save_pretrained``: the result loads correctly, or is refused with the right command."""

from __future__ import annotations

import logging
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from embfact.errors import ModelError
from embfact.models.files import ModelFiles
from embfact.models.loading import quiet
from embfact.models.sharing import holds_ours
from embfact.models.static import OWN
from embfact.models.weight_files import INDEX, WEIGHTS
from embfact.models.wrapping import unwrapped

log = logging.getLogger(__name__)

_HUB = {"repo_id", "commit_message", "commit_description", "private", "token", "revision", "create_pr", "tags"}
# These concern weights that transformers renames, and adapters: there are none here.
_WITHOUT_EFFECT = {"save_peft_format", "save_original_format"}
_FILES = re.compile(rf"{re.escape(WEIGHTS)}|{re.escape(INDEX)}|model-\d{{5}}-of-\d{{5}}\.safetensors")


class OwnSave:
    """Replaces the method ``save_pretrained`` of a model.

    An object rather than a bound method: a copy of the model gets its own, and a pickle includes it.

    Args:
        model: The model.
    """

    def __init__(self, model: PreTrainedModel):
        self.model = model

    def __call__(
        self,
        save_directory: str | Path,
        is_main_process: bool = True,
        state_dict: dict[str, Any] | None = None,
        push_to_hub: bool = False,
        max_shard_size: int | str = "50GB",
        **options: Any,
    ) -> None:
        """Write the model into a directory, beside its other content, as transformers does.

        Args:
            save_directory: The directory.
            is_main_process: False writes nothing.
            state_dict: The tensors, if they are not those of the model itself.
            push_to_hub: Upload the model afterwards, under the name of the directory or ``repo_id``.
            max_shard_size: Size of a file of weights, such as ``"5GB"``.
            **options: Of the upload. Other options of transformers are refused unless they are off.

        Raises:
            ModelError: If an option cannot be followed, or the model cannot be saved.
        """
        hub = {name: options.pop(name) for name in _HUB & options.keys()}
        _check_options(options)
        if getattr(self.model, "_hf_peft_config_loaded", False):
            type(self.model).save_pretrained(self.model, save_directory, is_main_process, state_dict, **options)
            return
        if is_main_process:
            self._write(Path(save_directory), state_dict, max_shard_size)
            if push_to_hub:
                self.model.push_to_hub(hub.pop("repo_id", Path(save_directory).name), **hub)

    def _write(self, directory: Path, state_dict: dict[str, Any] | None, max_shard_size: int | str) -> None:
        if directory.is_file():
            raise ModelError(f"{directory} is a file; give a directory to save to")
        files = ModelFiles(self.model, state_dict)
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=directory, prefix=".saving-") as temporary, quiet():
            files.write(Path(temporary), max_shard_size)
            new = {path.name: path for path in Path(temporary).iterdir()}
            # The configuration first: if this is interrupted, it does not fit the older weights and is refused.
            for name in sorted(new, key=lambda name: name != "config.json"):
                new[name].replace(directory / name)
        for path in directory.iterdir():
            if _FILES.fullmatch(path.name) and path.name not in new:
                path.unlink()  # of an older model
        if files.detail:
            log.warning(
                "%s holds the weights, and embfact.from_pretrained cannot load it, as %s", directory, files.detail
            )


def own_save(model: Any) -> None:
    """Let a compressed model, and those parts of it that are models too, be saved as embfact saves them.

    Models that transformers alone can read are left as they are.
    """
    for part in unwrapped(model).modules():
        if isinstance(part, PreTrainedModel) and (holds_ours(part) or type(part).__name__ in OWN):
            vars(part)["save_pretrained"] = OwnSave(part)


def _check_options(options: Mapping[str, Any]) -> None:
    for name, value in options.items():
        if name == "safe_serialization" and not value:
            raise ModelError(
                "safe_serialization=False asks for a pickle, which a compressed model does not support; leave it out"
            )
        if value and name not in (*_WITHOUT_EFFECT, "safe_serialization"):
            raise ModelError(f"{name}={value} has no effect on a compressed model; leave it out")
