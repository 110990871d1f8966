"""Which run is which: the hash of what decides a result, and the directory named after it.

Light to import: a sweep asks for the identity of every run before it starts one.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from embfact.config.run_config import RunConfig
from embfact.config.sections import DataConfig, ModelConfig, PathsConfig, slug
from embfact.data.fingerprint import fingerprint as data_fingerprint
from embfact.models.backbones import fingerprint as model_fingerprint
from embfact.runs.record import read
from embfact.system.digest import file_digest

RESULTS_VERSION = 5
"""Raised whenever a change of this program changes a result, so that older runs are not taken for it."""

# What can change a number in the record; a minor release is trusted not to.
LIBRARIES = ("torch", "transformers", "tokenizers", "pytorch-lightning", "torchmetrics")

# Where data lies and what it is called decide nothing: its fingerprint does.
_NOT_SCIENCE = {
    "data": {"name", "source", "hub", "hub_config", "revision", "mirror", "train_file", "validation_file"}
    | {"collection", "archive", "shares_text_with", "submission", "note"},
    "trainer": {"eval_batch_size", "accelerator", "compile", "threads", "devices", "strategy"}
    | {"kernels", "attention"},
    "factorization": {"refactorize_existing"},  # it permits, it computes nothing
}


@dataclass(frozen=True)
class Identity:
    """A run's name and place.

    Attributes:
        hash: SHA-256 (hex) of everything that decides the result.
        name: ``<data>-<model>-<method>[-r<rank>]-s<seed>-<first 8 digits of the hash>``.
        directory: Where the run keeps its files.
        data_fingerprint: SHA-256 of the data.
        model_fingerprint: SHA-256 of the backbone.
        science: What the hash was taken over.
    """

    hash: str
    name: str
    directory: Path
    data_fingerprint: str
    model_fingerprint: str
    science: dict[str, Any]


def identify(config: RunConfig) -> Identity:
    """The identity of a run.

    Raises:
        DataError, ModelError: If the data or the backbone is not there.
    """
    data, model = _data_fingerprint(config.data, config.paths), _model_fingerprint(config.model)
    decisive = science(config, data, model)
    digest = hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()
    method = [slug(config.factorization.name), *([config.size] if config.size else [])]
    name = "-".join([slug(config.data.name), config.model.label, *method, f"s{config.seed}", digest[:8]])
    return Identity(digest, name, Path(config.output_dir) / name, data, model, decisive)


def science(config: RunConfig, data_fingerprint: str, model_fingerprint: str) -> dict[str, Any]:
    """Everything that decides the result of a run, as JSON values; the hash is taken over it."""
    sections = {
        name: getattr(config, name).model_dump(mode="json", exclude=_NOT_SCIENCE.get(name, set()))
        for name in ("data", "task", "trainer", "optimizer", "factorization")
    }
    if config.task.pooling is None:  # what the backbone does by itself, and did before there was a choice
        del sections["task"]["pooling"]
    if not config.trains_replacement or config.optimizer.embedding_lr == 1:  # where it decides nothing
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
        "versions": {name: number.split(".")[0] for name, number in library_versions().items()},
        "results_version": RESULTS_VERSION,
    }


def _start(config: RunConfig) -> dict[str, str]:
    """The run whose weights are trained on, if any; what else there is to know of a backbone is in its fingerprint."""
    start = config.model.from_run
    if start is None:
        return {}
    # Without the seed: starts that differ in nothing else repeat each other, and a table takes their mean. Which of
    # them it was is in the fingerprint of the backbone.
    decisive = {name: value for name, value in read(Path(start)).science.items() if name != "seed"}
    return {"from_run": hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:8]}


def _size(config: RunConfig) -> dict[str, Any] | None:
    """How large the embedding should be; the unit belongs to a budget alone."""
    if config.target is None:
        return None
    unit = config.target.unit if config.target.budget is not None else None
    return asdict(config.target) | {"unit": unit}


def _evidence(config: RunConfig) -> dict[str, Any] | None:
    """What decides the evidence that the method asks for; None if it asks for none."""
    needs, options = config.factorization.needs, config.evidence
    if needs - {"token_counts"}:
        # A head that comes with the weights is not warmed up.
        return options.model_dump(mode="json", exclude={"warmup_steps"} if config.model.from_run else set())
    if not needs:
        return None
    if options.file is None:
        return {"source": options.source}
    # A file is known by its content, and by its kind: a CSV file read as plain text has other texts.
    file = Path(options.file)
    return {"source": f"sha256:{file_digest(file)[:16]}{file.suffix.lower()}"}


@lru_cache(maxsize=1)
def library_versions() -> dict[str, str]:
    """Versions of the libraries that can change a result, read without importing them."""
    versions = {}
    for name in LIBRARIES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "missing"
    return versions


# A sweep asks for the same few fingerprints again and again.
@lru_cache(maxsize=64)
def _fingerprint_of_json(kind: str, document: str, data_dir: str | None = None, cache_dir: str | None = None) -> str:
    if kind == "data":
        return data_fingerprint(DataConfig.model_validate_json(document), data_dir, cache_dir)
    return model_fingerprint(ModelConfig.model_validate_json(document))


def _data_fingerprint(data: DataConfig, paths: PathsConfig) -> str:
    return _fingerprint_of_json("data", data.model_dump_json(), paths.data_dir, paths.cache_dir)


def _model_fingerprint(model: ModelConfig) -> str:
    return _fingerprint_of_json("model", model.model_dump_json())
