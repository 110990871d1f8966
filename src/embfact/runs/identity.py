"""The identity of a run: a hash of everything that decides its result, and the directory named after it.

Light to import: a sweep identifies all its runs before it starts one.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from embfact.config.data_config import DataConfig
from embfact.config.run_config import RunConfig
from embfact.config.sections import ModelConfig, slug
from embfact.data.fingerprint import fingerprint as data_fingerprint
from embfact.models.backbones import fingerprint as model_fingerprint
from embfact.runs.record import read
from embfact.runs.teacher import fingerprint_of, teacher_of
from embfact.system.digest import file_digest

RESULTS_VERSION = 6
"""Raised whenever a change of this program changes results, so that older runs do not count as the same."""

# Their major versions are part of the hash; minor releases are trusted not to change results.
LIBRARIES = ("torch", "transformers", "tokenizers", "pytorch-lightning", "torchmetrics")

# The location and name of a data set decide nothing: its fingerprint does.
_NOT_SCIENCE = {
    "data": {"name", "source", "hub", "hub_config", "revision", "mirror", "train_file", "validation_file"}
    | {"collection", "archive", "shares_text_with", "submission", "note"},
    "trainer": {"eval_batch_size", "accelerator", "compile", "threads", "devices", "strategy"}
    | {"kernels", "attention"},
    "factorization": {"refactorize_existing"},  # a permission, not a computation
}


@dataclass(frozen=True)
class Identity:
    """A run's name and place.

    Attributes:
        hash: SHA-256 (hex) of everything that decides the result.
        name: ``<data>-<model>-<method>[-r<rank>]-s<seed>-<first 8 digits of the hash>``.
        directory: The run directory.
        data_fingerprint: SHA-256 of the data.
        model_fingerprint: SHA-256 of the backbone.
        science: The values that are hashed.
        teacher: Directory of the run that it learns from; None without ``task.distill``.
    """

    hash: str
    name: str
    directory: Path
    data_fingerprint: str
    model_fingerprint: str
    science: dict[str, Any]
    teacher: Path | None = None


def identify(config: RunConfig) -> Identity:
    """The identity of a run.

    Raises:
        DataError, ModelError: If the data, the backbone or the run to learn from is missing.
    """
    data = _fingerprint("data", config.data.model_dump_json(), config.paths.data_dir, config.paths.cache_dir)
    model = _fingerprint("model", config.model.model_dump_json())
    decisive = science(config, data, model)
    digest = hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()
    method = [slug(config.factorization.name), *([config.size] if config.size else [])]
    name = "-".join([slug(config.data.name), config.model.label, *method, f"s{config.seed}", digest[:8]])
    return Identity(digest, name, Path(config.output_dir) / name, data, model, decisive, teacher_of(config))


def science(config: RunConfig, data_fingerprint: str, model_fingerprint: str) -> dict[str, Any]:
    """Everything that decides the result of a run, as JSON values; this is what is hashed."""
    sections = {
        name: getattr(config, name).model_dump(mode="json", exclude=_NOT_SCIENCE.get(name, set()))
        for name in ("data", "trainer", "optimizer", "factorization")
    }
    sections["task"] = _task(config)
    if not config.trainer.factor_epochs:  # as before this option existed
        del sections["trainer"]["factor_epochs"]
    if not config.trains_replacement or config.optimizer.embedding_lr == 1:  # no effect
        del sections["optimizer"]["embedding_lr"]
    return {
        **sections,
        "model": _start(config),
        "method": config.factorization.name,
        "size": _size(config),
        **config.kept.as_json(),
        "quantization": None if config.storage == "float32" else config.quantization,
        "trainable": config.trainable,
        "evidence": _evidence(config),
        "refactorize": None if config.refactorize.every == "never" else config.refactorize.model_dump(mode="json"),
        "seed": config.seed,
        "weights": "best" if config.checkpoint == "best" else "last",
        "data_fingerprint": data_fingerprint,
        "model_fingerprint": model_fingerprint,
        **({"teacher_fingerprint": fingerprint_of(teacher, config.model)} if (teacher := teacher_of(config)) else {}),
        "versions": {name: number.split(".")[0] for name, number in library_versions().items()},
        "results_version": RESULTS_VERSION,
    }


def _start(config: RunConfig) -> dict[str, str]:
    """The run that training starts from, if any; the fingerprint covers everything else about a backbone."""
    start = config.model.from_run
    if start is None:
        return {}
    return {"from_run": _digits(Path(start))}


def _task(config: RunConfig) -> dict[str, Any]:
    """The section ``task``, without options that have no effect."""
    task, teacher = config.task, teacher_of(config)
    values = task.model_dump(mode="json", include={"name", "dropout", "label_smoothing"})
    if task.pooling is not None:  # else the backbone's own head, the only choice before this option existed
        values["pooling"] = task.pooling
    if teacher is None:
        return values
    values |= {"distill": _digits(teacher), "distill_weight": task.distill_weight}
    if task.distill_weight and config.data.target == "class":
        values["distill_temperature"] = task.distill_temperature
    return values | {"distill_embedding": task.distill_embedding if config.imitates_table else 0.0}


def _digits(run: Path) -> str:
    """Eight digits for the options of an earlier run, without its seed.

    Runs that differ only in the seed of the run that they begin from are repetitions, which a table averages. The
    fingerprint of its weights tells them apart.
    """
    decisive = {name: value for name, value in read(run).science.items() if name != "seed"}
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:8]


def _size(config: RunConfig) -> dict[str, Any] | None:
    """How large the embedding should be; only a budget has a unit."""
    if config.target is None:
        return None
    unit = config.target.unit if config.target.budget is not None else None
    return asdict(config.target) | {"unit": unit}


def _evidence(config: RunConfig) -> dict[str, Any] | None:
    """What decides the evidence that the method needs; None if it needs none."""
    needs, options = config.factorization.needs, config.evidence
    if needs - {"token_counts"}:
        # A trained head is not warmed up.
        return options.model_dump(mode="json", exclude={"warmup_steps"} if config.model.from_run else set())
    if not needs:
        return None
    if options.file is None:
        return {"source": options.source}
    # A file is identified by its content and its format: the same bytes hold other texts as CSV than as plain text.
    file = Path(options.file)
    return {"source": f"sha256:{file_digest(file)[:16]}{file.suffix.lower()}"}


@lru_cache(maxsize=1)
def library_versions() -> dict[str, str]:
    """Versions of the libraries that can affect a result, read without importing them."""
    versions = {}
    for name in LIBRARIES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "missing"
    return versions


# A sweep needs the same few fingerprints over and over.
@lru_cache(maxsize=64)
def _fingerprint(kind: str, document: str, data_dir: str | None = None, cache_dir: str | None = None) -> str:
    if kind == "data":
        return data_fingerprint(DataConfig.model_validate_json(document), data_dir, cache_dir)
    return model_fingerprint(ModelConfig.model_validate_json(document))
