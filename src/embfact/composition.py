"""From the words of a command line to the typed configurations of all its jobs.

Hydra composes; this module only asks it early and gathers every fault at once, before a directory is made or anything
heavy is imported. Hydra itself would stop at the first fault, after making its directories, with exit code 1.
"""

from __future__ import annotations

import copy
import difflib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from embfact.config import RunConfig
from embfact.errors import ConfigError, Fault, nearest

CONFIG_NAME = "train"


@dataclass(frozen=True)
class Job:
    """One job of a command: the overrides that Hydra composes it from, and the configuration that they give."""

    overrides: tuple[str, ...]
    config: RunConfig


@dataclass(frozen=True)
class Request:
    """What a command line asks for.

    Attributes:
        jobs: One job, or those of the sweep in its order.
        multirun: Whether it is a sweep.
        overrides: The overrides that are the same for all jobs, for Hydra's own settings (its launcher).
    """

    jobs: tuple[Job, ...]
    multirun: bool
    overrides: tuple[str, ...]


@contextmanager
def hydra_session(conf_dir: Path) -> Iterator[Composer]:
    """Hydra, opened on a folder of configurations and closed again so that a launcher can open its own."""
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf_dir.resolve()), version_base="1.3", job_name=CONFIG_NAME):
        yield Composer()


def read_request(conf_dir: Path, words: Sequence[str], multirun: bool) -> Request:
    """Compose and validate every job of a command line.

    Args:
        conf_dir: The folder with ``train.yaml``.
        words: Overrides as typed, e.g. ``["factorization=svd", "rank=64,128"]``.
        multirun: Whether ``-m`` was given; an experiment may also ask for it (``hydra.mode: MULTIRUN``).

    Raises:
        ConfigError: With the faults of all jobs.
    """
    with hydra_session(conf_dir) as composer:
        overrides, faults = composer.without_faults(composer.parse(words))
        fixed = [override.input_line or "" for override in overrides if not override.is_sweep_override()]
        settings = composer.hydra_settings(fixed)
        multirun = multirun or str(settings.mode).endswith("MULTIRUN")
        if multirun:
            sweep = [f"{key}={value}" for key, value in (settings.sweeper.get("params") or {}).items()]
            overrides, faults = composer.without_faults(composer.parse([*sweep, *words]))
        elif sweeps := [str(o.input_line) for o in overrides if o.is_sweep_override()]:
            raise ConfigError([*faults, Fault("a list of values makes a sweep", " ".join(sweeps), "add -m")])
        try:
            jobs = composer.jobs(_expand(overrides))
        except ConfigError as error:
            # What a mistyped choice would have brought is not known: its own options are not held against the user.
            unknown = tuple(f"there is no option {fault.what.split()[0]}." for fault in faults)
            faults += [fault for fault in error.faults if not (unknown and fault.what.startswith(unknown))]
        if faults:
            raise ConfigError(faults)
        return Request(jobs, multirun, tuple(fixed))


def _expand(overrides: Sequence[Override]) -> list[list[str]]:
    """The overrides of each job of a sweep, in Hydra's order."""
    try:
        return BasicSweeper.split_arguments(list(overrides), max_batch_size=None)[0]
    except HydraException as error:
        raise ConfigError(
            [Fault(f"this sweep cannot be expanded: {error}", "", "list the values: key=a,b,c")]
        ) from None


class Composer:
    """Composes jobs within an open Hydra session; what jobs share is composed once."""

    def __init__(self) -> None:
        self._loader = GlobalHydra.instance().config_loader()
        self._parser = OverridesParser.create(config_loader=self._loader)
        self._bases: dict[tuple[str, ...], DictConfig] = {}
        self._groups: dict[str, list[str]] = {}

    def parse(self, words: Sequence[str]) -> list[Override]:
        """Overrides of words; every word that is none is a fault."""
        overrides, faults = [], []
        for word in words:
            try:
                override = self._parser.parse_override(word)
            except HydraException:
                override = None
            if override and override.key_or_group:
                overrides.append(override)
            else:
                faults.append(Fault("cannot be read as an override", repr(word), "write key=value, e.g. rank=64"))
        if faults:
            raise ConfigError(faults)
        return overrides

    def is_group(self, override: Override) -> bool:
        """Whether an override chooses an option of a group, e.g. ``data=sst2``, rather than a value."""
        parent, _, last = override.key_or_group.rpartition("/")
        if parent not in self._groups:
            self._groups[parent] = self._loader.list_groups(parent)
        return last in self._groups[parent]

    def without_faults(self, overrides: Sequence[Override]) -> tuple[list[Override], list[Fault]]:
        """The overrides that can be composed, and a fault for every choice of a group that has no such option."""
        good, faults = [], []
        for override in overrides:
            unknown = self._unknown_choices(override)
            faults += unknown
            if not unknown:
                good.append(override)
        return good, faults

    def _unknown_choices(self, override: Override) -> list[Fault]:
        if override.type == OverrideType.DEL or not self.is_group(override):
            return []
        options = self._loader.get_group_options(override.key_or_group)
        values = list(override.sweep_iterator()) if override.is_sweep_override() else [override.value()]
        # Hydra merges the options of a list, and fails at null; neither is what is meant.
        lists = [
            Fault(f"{override.key_or_group} takes one option", str(v), "a sweep is a,b without brackets, and -m")
            for v in values
            if isinstance(v, list) and not override.key_or_group.startswith("hydra/")
        ]
        names = [name for value in values for name in (value if isinstance(value, list) else [value])]
        wrong = ["null" if name is None else str(name) for name in names if str(name) not in options]
        what = f"{override.key_or_group} has no option of this name"
        return lists + [Fault(what, name, nearest(name, options)) for name in wrong]

    def hydra_settings(self, overrides: Sequence[str]) -> DictConfig:
        """Hydra's own part of the configuration (mode, sweeper, launcher)."""
        parsed = zip(overrides, self.parse(overrides), strict=True)
        overrides = [word for word, o in parsed if o.key_or_group.startswith("hydra.") or not _is_plain(self, o)]
        try:
            return compose(CONFIG_NAME, list(overrides), return_hydra_config=True).hydra
        except (HydraException, OmegaConfBaseException) as error:
            raise ConfigError([_composition_fault(error, overrides)]) from None

    def jobs(self, lists: Sequence[Sequence[str]]) -> tuple[Job, ...]:
        """A job of each list of overrides; the faults of all together are raised at once."""
        jobs: list[Job] = []
        faults: list[Fault] = []
        for words in lists:
            try:
                jobs.append(Job(tuple(words), RunConfig.parse(self.values(words))))
            except ConfigError as error:
                faults += error.faults
        if faults:
            raise ConfigError(faults)
        return tuple(jobs)

    def values(self, words: Sequence[str]) -> dict[str, Any]:
        """The resolved values of one job as plain containers."""
        overrides = self.parse(words)
        plain = [override for override in overrides if _is_plain(self, override)]
        base = self._base(tuple(word for word, o in zip(words, overrides, strict=True) if not _is_plain(self, o)))
        config = copy.deepcopy(base)
        faults: list[Fault] = []
        for override in plain:
            key = override.key_or_group
            if key.startswith("hydra."):
                continue
            if not _has(config, key):
                known = _keys(OmegaConf.to_container(base, resolve=False))
                faults.append(Fault(f"there is no option {key}", str(override.input_line), _nearest_keys(key, known)))
                continue
            try:
                # As Hydra itself does when the job is launched: a dictionary is merged into the one that is there.
                OmegaConf.update(config, key, override.value(), merge=True)
            except OmegaConfBaseException as error:
                reason = str(error).splitlines()[0]
                faults.append(
                    Fault(f"{key} cannot be set: {reason}", str(override.input_line), "+KEY=VALUE adds a key")
                )
        if faults:
            raise ConfigError(faults)
        try:
            values = OmegaConf.to_container(config, resolve=True)
        except OmegaConfBaseException as error:
            raise ConfigError([Fault(f"a value cannot be resolved: {' '.join(str(error).split())}")]) from None
        return run_values(values)

    def _base(self, words: tuple[str, ...]) -> DictConfig:
        """The configuration of these choices of groups; a tenth of a second each, so kept for the other jobs."""
        if words not in self._bases:
            try:
                self._bases[words] = compose(CONFIG_NAME, list(words))
            except (HydraException, OmegaConfBaseException) as error:
                raise ConfigError([_composition_fault(error, words)]) from None
        return self._bases[words]


def run_values(composed: Any) -> dict[str, Any]:
    """The values of a run, of everything that Hydra composed: the choices of presets have done their work."""
    return {key: value for key, value in composed.items() if key not in ("experiment", "debug")}


def _composition_fault(error: Exception, words: Sequence[str]) -> Fault:
    """Hydra's own words for what cannot be composed; it keeps some of them in the cause."""
    reason = " ".join((str(error) or str(error.__cause__)).split())
    return Fault(f"Hydra cannot compose the configuration: {reason}", " ".join(words), "see python train.py --help")


def _is_plain(composer: Composer, override: Override) -> bool:
    """Whether an override only sets a value that the chosen groups already have."""
    return override.type == OverrideType.CHANGE and not composer.is_group(override) and override.package is None


def _has(config: DictConfig, key: str) -> bool:
    """Whether a dotted key exists, its value may be null."""
    parent, _, last = key.rpartition(".")
    try:
        section = OmegaConf.select(config, parent) if parent else config
    except OmegaConfBaseException:
        return False
    return isinstance(section, DictConfig) and last in section.keys()  # noqa: SIM118 (`in` is False for a null value)


def _nearest_keys(key: str, known: Iterator[str]) -> str:
    """The options that a mistyped one may mean: those of its section, or of its name in another section."""
    keys, (section, _, last) = list(known), key.rpartition(".")
    if namesakes := [name for name in keys if name.rpartition(".")[2] == last]:
        return "did you mean " + " or ".join(map(repr, namesakes)) + "?"
    if difflib.get_close_matches(key, keys):
        return nearest(key, keys)
    return nearest(
        key, [name for name in keys if name.rpartition(".")[0] == section] or [k for k in keys if "." not in k]
    )


def _keys(values: Any, prefix: str = "") -> Iterator[str]:
    """All dotted keys of nested containers."""
    for key, value in values.items():
        yield f"{prefix}{key}"
        if isinstance(value, dict):
            yield from _keys(value, f"{prefix}{key}.")
