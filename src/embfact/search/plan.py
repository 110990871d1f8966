"""Which studies a sweep needs, and how their results change its runs; imports neither Optuna nor torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from embfact.config.run_config import RunConfig
from embfact.config.sections import slug
from embfact.errors import ConfigError, ErrorDetail, UserError, extra_errors
from embfact.formatting.typed import number
from embfact.results.comparable import DISTILL
from embfact.runs.identity import identify
from embfact.runs.preflight import teacher_errors

DIGITS = 3  # significant digits of a proposed value, so that it is easy to read and type


@dataclass(frozen=True)
class PlannedStudy:
    """One search: what its trials train, and where it is stored.

    Attributes:
        name: ``<data>-<model>-<method>[-r<rank>]-<first 8 digits of the hash of what decides its course>``.
        folder: The output directory of its runs, in which the study is stored too.
        trials: The number of trials asked for.
        config: The configuration of a trial except for the tuned options; its seed is that of the search.
    """

    name: str
    folder: Path
    trials: int
    config: RunConfig = field(compare=False)

    @property
    def database(self) -> Path:
        """The SQLite file that stores all studies of the folder."""
        return self.folder / "search.db"

    @property
    def lock(self) -> Path:
        """Held by the process that works on it."""
        return self.folder / f"search-{self.name}.lock"

    @property
    def directory(self) -> Path:
        """Scratch space of its trials; only the log of failed trials stays."""
        return self.folder / "search" / self.name


def check_search(configs: Iterable[RunConfig]) -> None:
    """Refuse a search that cannot work.

    Raises:
        ConfigError: With every error.
    """
    searched = [config for config in configs if config.search.trials]
    errors = extra_errors("optuna", "search", f"search.trials={searched[0].search.trials}") if searched else []
    if any(config.data.selection_size == 0 for config in searched):
        what = "a search is scored on the held-out slice, but there is none"
        errors.append(ErrorDetail(what, "data.selection_size=0", "set it above 0, or search=none"))
    for config in searched:
        seeds = range(config.search.seed, config.search.seed + config.search.seeds)
        errors += [detail for seed in seeds for detail in teacher_errors(config.model_copy(update={"seed": seed}))]
    if errors:
        raise ConfigError(errors)


def studies_of(configs: Sequence[RunConfig]) -> list[PlannedStudy | None]:
    """The study of each configuration; runs that differ only in seed and tuned options share one.

    Returns:
        One entry per configuration: None if no tuned option has an effect on it, or if its data or backbone is missing
        (which the plan of the runs reports).
    """
    return [_study_of(config) if config.search.trials else None for config in configs]


def _study_of(config: RunConfig) -> PlannedStudy | None:
    # The learning rate of the replacement has no effect on a run without one, nor weights of distillation without it.
    without = set() if config.trains_replacement else {"optimizer.embedding_lr"}
    without |= DISTILL if config.task.distill is None else set()
    space = {name: span for name, span in config.search.space.items() if name not in without}
    if not space:
        return None
    config = config.model_copy(update={"search": config.search.model_copy(update={"space": space})})
    try:
        # Tuned options get a fixed value, so that they do not affect the hash.
        science = identify(with_options(config, {name: span.low for name, span in space.items()})).science
    except (UserError, OSError):
        return None
    decisive = {name: value for name, value in science.items() if name != "seed"}
    # The number of trials is not hashed: a study can be extended.
    decisive["search"] = config.search.model_dump(mode="json", exclude={"trials"})
    digest = hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()
    parts = [config.data.name, config.model.label, config.factorization.name, config.size or ""]
    name = "-".join([*(slug(part) for part in parts if part), digest[:8]])
    return PlannedStudy(name, Path(config.output_dir), config.search.trials, _trial(config))


def _trial(config: RunConfig) -> RunConfig:
    """The configuration of a trial: trained in one process, without logging or resuming."""
    logger = config.logger.model_copy(update={"mode": "none"})
    trainer = config.trainer.model_copy(update={"devices": 1, "strategy": "auto"})
    changes = {"seed": config.search.seed, "logger": logger, "trainer": trainer, "resume": False}
    return config.model_copy(update={**changes, "checkpoint_every": None})


def rounded(value: float, low: float, high: float) -> float:
    """A proposed value rounded to a few digits, within its range."""
    return min(max(float(f"{value:.{DIGITS}g}"), low), high)


def with_options(config: RunConfig, options: Mapping[str, float]) -> RunConfig:
    """A configuration with some options replaced, given by dotted name: ``{"optimizer.lr": 1e-4}``."""
    sections: dict[str, dict[str, Any]] = {}
    for name, value in options.items():
        section, option = name.split(".")
        sections.setdefault(section, {})[option] = value
    return config.model_copy(
        update={name: getattr(config, name).model_copy(update=changes) for name, changes in sections.items()}
    )


def describe_options(options: Mapping[str, float]) -> str:
    """Options as a user would type them: ``optimizer.lr=0.000123 task.dropout=0.2``."""
    return " ".join(f"{name}={number(value)}" for name, value in options.items())
