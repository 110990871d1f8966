"""What a saved directory needs for the Auto classes of transformers to find embfact; see `embfact.models.auto`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import PreTrainedConfig
from transformers.models.auto import modeling_auto

MODULE = "embfact_model"
TASKS = (
    "AutoModel",
    "AutoModelForTextEncoding",
    "AutoModelForPreTraining",
    "AutoModelForCausalLM",
    "AutoModelForMaskedLM",
    "AutoModelForSeq2SeqLM",
    "AutoModelForSequenceClassification",
    "AutoModelForTokenClassification",
    "AutoModelForQuestionAnswering",
    "AutoModelForMultipleChoice",
    "AutoModelForNextSentencePrediction",
)
"""Auto classes of models that read text."""

_HEADER = '''"""Lets transformers load this directory: AutoModel.from_pretrained(DIRECTORY, trust_remote_code=True).

The code that it needs is in the package embfact (pip install embfact), which reads the weights beside this file.
"""

from embfact.models.auto import loader

'''


def write(config: PreTrainedConfig, directory: Path) -> None:
    """Name our loader in a configuration, and write the file with it into the directory."""
    names = [name for name in TASKS if model_class(name, config) is not None]
    config.auto_map = {name: f"{MODULE}.{name}" for name in names}
    lines = [f'{name} = loader("{name}")\n' for name in names]
    kind = type(config)
    if not kind.__module__.startswith("transformers."):  # a model type that transformers does not know
        config.auto_map["AutoConfig"] = f"{MODULE}.{kind.__name__}"
        lines.append(f"\nfrom {kind.__module__} import {kind.__name__}  # noqa: E402, F401\n")
    (directory / f"{MODULE}.py").write_text(_HEADER + "".join(lines), encoding="utf-8")


def model_class(task: str, config: PreTrainedConfig) -> Any:
    """The class that an Auto class takes for a configuration; None if it has none.

    It is a class of transformers; our own configurations name their classes in ``models``.
    """
    own = getattr(type(config), "models", None)
    if own is not None:
        return own.get(task)
    mapping = getattr(modeling_auto, task)._model_mapping
    if type(config) not in mapping:
        return None
    found = mapping[type(config)]
    return found[0] if isinstance(found, tuple) else found
