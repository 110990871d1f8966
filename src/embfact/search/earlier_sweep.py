"""Options from an earlier sweep: for each method the setting with the lowest held-out loss, a mean over its seeds.

So a small grid is tuned by a sweep, with its launchers, resuming and records, and its answer is used for all sizes and
seeds of another one. Light to import: no torch.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from operator import attrgetter
from pathlib import Path
from statistics import fmean
from typing import Any

from embfact.config.run_config import RunConfig
from embfact.config.search_config import TUNABLE
from embfact.errors import ConfigError, ErrorDetail, UserError
from embfact.factorization.auto import Auto
from embfact.results.collect import find_records
from embfact.results.differences import differing, flat
from embfact.runs.identity import identify
from embfact.runs.record import RunRecord
from embfact.search.plan import describe_options, with_options

EMBEDDING_LR = "optimizer.embedding_lr"  # left out of a run's science where it is 1
# The sweep may have been made at one size, and in one format, for all; the run to learn from may differ between seeds.
FREE = frozenset({"seed", "size", "storage", "storage_group", "quantization", "teacher_fingerprint"})

Setting = tuple[tuple[str, float], ...]


def with_best(configs: Sequence[RunConfig]) -> list[RunConfig]:
    """The configurations with the options that ``search.sweep`` found best, if it is set.

    Raises:
        ConfigError: If the sweep is missing, lacks a method, or did not finish the same seeds of all its settings.
    """
    found, errors = [], []
    for config in configs:
        try:
            # The method of factorization=auto is not known before the runs are planned.
            known = config.search.sweep and not isinstance(config.factorization, Auto)
            found.append(_with_best(config) if known else config)
        except UserError as error:
            detail = ErrorDetail(
                str(error), f"search.sweep={config.search.sweep}", "finish that sweep, or name another"
            )
            errors += [detail] if detail not in errors else []
    if errors:
        raise ConfigError(errors)
    return found


def _with_best(config: RunConfig) -> RunConfig:
    folder = Path(str(config.search.sweep))
    name = config.factorization.name
    if not folder.is_dir():
        raise UserError("search.sweep is not a folder")
    identity = identify(config)
    wanted = _terms(identity.science, identity.model_fingerprint)
    terms = [(run, _terms(run.science, run.model.fingerprint)) for run in _records(folder) if run.method.name == name]
    if not terms:
        raise UserError(f"the sweep has no run of {name}")
    alike = [run for run, found in terms if found == wanted]
    if not alike:
        nearest = min((differing([found, wanted]) for _, found in terms), key=len)
        raise UserError(f"the sweep has {name} only with another {' and '.join(sorted(nearest))} than this command")
    values = [_values(run) for run in alike]
    tuned = sorted(name for name in TUNABLE if len({one.get(name) for one in values}) > 1)
    settings: dict[Setting, dict[int, float | None]] = defaultdict(dict)
    for run, options in zip(alike, values, strict=True):
        settings[tuple((name, options[name]) for name in tuned)][run.seed] = _loss(run)
    seeds = set().union(*settings.values())
    for setting, losses in settings.items():
        if missing := sorted(seeds - set(losses)):
            words = " ".join(f"{option}={value:g}" for option, value in setting)
            raise UserError(f"{name} with {words} lacks seed {', '.join(map(str, missing))}")
    whole = {
        setting: fmean(filter(None, losses.values())) for setting, losses in settings.items() if all(losses.values())
    }
    if not whole:
        raise UserError(f"no setting of {name} was trained to the end with every seed")
    best = min(whole, key=lambda setting: whole[setting])
    grid = {option: sorted({dict(setting)[option] for setting in settings}) for option in tuned}
    search = config.search.model_copy(update={"grid": grid, "seeds": len(seeds)})
    return with_options(config, dict(best)).model_copy(update={"search": search})


def describe_best(configs: Sequence[RunConfig]) -> list[str]:
    """A line for each method whose options are those of an earlier sweep."""
    lines = (
        f"{config.factorization.name}: {describe_options(_chosen(config)) or 'one setting alone was tried'}, "
        f"as found in {config.search.sweep}"
        for config in configs
        if config.search.sweep
    )
    return list(dict.fromkeys(lines))


def _chosen(config: RunConfig) -> dict[str, float]:
    return {name: attrgetter(name)(config) for name in config.search.grid}


@lru_cache(maxsize=1)
def _records(folder: Path) -> tuple[RunRecord, ...]:
    return find_records([folder]).records


def _loss(run: RunRecord) -> float | None:
    """The held-out loss that a run selects by; None if it did not finish."""
    if run.status != "finished" or run.selection is None or run.selection.metric != "loss":
        return None
    return run.selection.value if run.selection.value is not None else run.selection.history[-1]["loss"]


def _values(run: RunRecord) -> dict[str, Any]:
    return {EMBEDDING_LR: 1.0, **flat(run.science)}


def _terms(science: Mapping[str, Any], model_fingerprint: str | None) -> dict[str, Any]:
    """Everything that decides a result except seed, size, storage and what can be tuned."""
    options = flat({name: value for name, value in science.items() if name not in FREE})
    return {name: value for name, value in options.items() if name not in TUNABLE} | {"model": model_fingerprint}
