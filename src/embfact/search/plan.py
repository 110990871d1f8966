"""Which studies a sweep needs, and what a study's answer makes of its runs.

Light to import: neither Optuna nor torch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from embfact.config.run_config import RunConfig
from embfact.config.sections import slug
from embfact.errors import ConfigError, ErrorDetail, UserError
from embfact.formatting.typed import number
from embfact.launchers.extras import extra_errors
from embfact.runs.identity import identify

# Digits of a value that a search proposes: what is tried is what a person can read and type.
DIGITS = 3


@dataclass(frozen=True)
class PlannedStudy:
    """One search: what its trials train, and where it is kept.

    Attributes:
        name: ``<data>-<model>-<method>[-r<rank>]-<first 8 digits of the hash of what decides its course>``.
        folder: The output directory of its runs, which also holds the study.
        trials: How many there are to be.
        config: What a trial does, apart from the tuned options; its seed is that of the search.
    """

    name: str
    folder: Path
    trials: int
    config: RunConfig = field(compare=False)

    @property
    def database(self) -> Path:
        """The SQLite file that holds it, with all other studies of the same folder."""
        return self.folder / "search.db"

    @property
    def lock(self) -> Path:
        """Held by the process that works on it."""
        return self.folder / f"search-{self.name}.lock"

    @property
    def directory(self) -> Path:
        """Scratch space of its trials; what stays of it is the log of those that failed."""
        return self.folder / "search" / self.name


def check_search(configs: Iterable[RunConfig]) -> None:
    """Refuse a search that is sure not to work.

    Raises:
        ConfigError: With every error.
    """
    searched = [config for config in configs if config.search.trials]
    errors = extra_errors("optuna", "search", f"search.trials={searched[0].search.trials}") if searched else []
    if any(config.data.selection_size == 0 for config in searched):
        what = "a search is judged by the held-out slice, and there is none"
        errors.append(ErrorDetail(what, "data.selection_size=0", "set it above 0, or search=none"))
    if errors:
        raise ConfigError(errors)


def studies_of(configs: Sequence[RunConfig]) -> list[PlannedStudy | None]:
    """The study of each configuration; equal ones for runs that differ in seed and tuned options alone.

    Returns:
        One entry a configuration: None where there is nothing to tune that has an effect on it, or data or backbone is
        not there (which the plan of the runs says in words).
    """
    return [_study_of(config) if config.search.trials else None for config in configs]


def _study_of(config: RunConfig) -> PlannedStudy | None:
    space = {name: span for name, span in config.search.space.items() if _decides(name, config)}
    if not space:
        return None
    config = config.model_copy(update={"search": config.search.model_copy(update={"space": space})})
    try:
        # What is tuned is whatever the search makes of it, so any one value stands for it.
        science = identify(with_options(config, {name: span.low for name, span in space.items()})).science
    except (UserError, OSError):
        return None
    decisive = {name: value for name, value in science.items() if name != "seed"}
    # How many trials there are is left out: a study can be made longer.
    decisive["search"] = config.search.model_dump(mode="json", exclude={"trials"})
    digest = hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()
    words = [config.data.name, config.model.label, config.factorization.name, config.size or ""]
    name = "-".join([*(slug(word) for word in words if word), digest[:8]])
    return PlannedStudy(name, Path(config.output_dir), config.search.trials, _trial(config))


def _decides(name: str, config: RunConfig) -> bool:
    """Whether an option has an effect on these runs: a dense table has no rate of its own."""
    return name != "optimizer.embedding_lr" or config.trains_replacement


def _trial(config: RunConfig) -> RunConfig:
    """What a trial does: one process trains it without a trace outside of its study."""
    logger = config.logger.model_copy(update={"mode": "none"})
    trainer = config.trainer.model_copy(update={"devices": 1, "strategy": "auto"})
    changes = {"seed": config.search.seed, "logger": logger, "trainer": trainer, "resume": False}
    return config.model_copy(update={**changes, "checkpoint_every": None})


def rounded(value: float, low: float, high: float) -> float:
    """A proposed value with few digits, within its range."""
    return min(max(float(f"{value:.{DIGITS}g}"), low), high)


def with_options(config: RunConfig, options: Mapping[str, float]) -> RunConfig:
    """A configuration with some options replaced.

    Args:
        config: The configuration.
        options: Values by dotted name, e.g. ``{"optimizer.lr": 1e-4}``.
    """
    sections: dict[str, dict[str, Any]] = {}
    for name, value in options.items():
        section, option = name.split(".")
        sections.setdefault(section, {})[option] = value
    return config.model_copy(
        update={name: getattr(config, name).model_copy(update=changes) for name, changes in sections.items()}
    )


def describe_options(options: Mapping[str, float]) -> str:
    """Options as they would be typed: ``optimizer.lr=0.000123 task.dropout=0.2``."""
    return " ".join(f"{name}={number(value)}" for name, value in options.items())
