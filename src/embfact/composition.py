"""From the words of a command line to the typed configurations of all its jobs.

Hydra composes; this module only asks it early and gathers every fault at once, before a directory is made or anything
heavy is imported. Hydra itself would stop at the first fault, after making its directories, with exit code 1.
"""

from __future__ import annotations

import copy
import difflib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
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
UNREADABLE = "write key=value, e.g. rank=64; quote special characters: 'key=\"a (1).csv\"'"


def _unless(value: Any, *others: Any) -> Any:
    """A default that gives way where one of the others is set: rank has one, and budget or energy replace it."""
    return value if all(other is None for other in others) else None


OmegaConf.register_new_resolver("unless", _unless, replace=True)


@dataclass(frozen=True)
class Request:
    """What a command line asks for.

    Attributes:
        configs: One configuration, or those of the sweep in its order.
        multirun: Whether it is a sweep.
        overrides: The overrides that are the same for all runs, for Hydra's own settings (its launcher).
        launcher: The section of the launcher that a sweep goes through.
    """

    configs: tuple[RunConfig, ...]
    multirun: bool
    overrides: tuple[str, ...] = ()
    launcher: Mapping[str, Any] = field(default_factory=dict)


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
        overrides, faults = composer.read(words)
        fixed = [override.input_line or "" for override in overrides if not override.is_sweep_override()]
        settings = composer.hydra_settings(fixed)
        multirun = multirun or str(settings.mode).endswith("MULTIRUN")
        if multirun:
            sweep = [f"{key}={value}" for key, value in (settings.sweeper.get("params") or {}).items()]
            overrides, faults = composer.read([*sweep, *words])
        elif sweeps := [str(o.input_line) for o in overrides if o.is_sweep_override()]:
            remedy = "add -m for a sweep, or brackets for one list: key=[a,b]"
            faults.append(Fault("a list of values makes a sweep", " ".join(sweeps), remedy))
            overrides = [override for override in overrides if not override.is_sweep_override()]
        configs, more = composer.configs(_expand(overrides))
        # What a mistyped choice would have brought is not known: its own options are not held against the user.
        unknown = tuple(f"there is no option {fault.what.split()[0]}." for fault in faults)
        faults += [fault for fault in more if not (unknown and fault.what.startswith(unknown))]
        if faults:
            raise ConfigError(faults)
        launcher: Any = OmegaConf.to_container(settings.launcher, resolve=False)
        return Request(configs, multirun, tuple(fixed), launcher)


def _expand(overrides: Sequence[Override]) -> list[list[str]]:
    """The overrides of each job of a sweep, in Hydra's order."""
    return BasicSweeper.split_arguments(list(overrides), max_batch_size=None)[0]


class Composer:
    """Composes jobs within an open Hydra session; what jobs share is composed once."""

    def __init__(self) -> None:
        self._loader = GlobalHydra.instance().config_loader()
        self._parser = OverridesParser.create(config_loader=self._loader)
        self._bases: dict[tuple[str, ...], DictConfig] = {}
        self._groups: dict[str, list[str]] = {}

    def read(self, words: Sequence[str]) -> tuple[list[Override], list[Fault]]:
        """The overrides that can be composed, and the faults of the other words."""
        good, faults = [], []
        for word in words:
            try:
                (override,) = self._parser.parse_overrides([word])
                found = self._faults_of(override)
            except HydraException:
                found = [Fault("cannot be read as an override", repr(word), UNREADABLE)]
            faults += found
            if not found:
                good.append(override)
        return good, faults

    def is_group(self, override: Override) -> bool:
        """Whether an override chooses an option of a group, e.g. ``data=sst2``, rather than a value."""
        parent, _, last = override.key_or_group.rpartition("/")
        if parent not in self._groups:
            self._groups[parent] = self._loader.list_groups(parent)
        return last in self._groups[parent]

    def _faults_of(self, override: Override) -> list[Fault]:
        """What is wrong with an override on its own: its form, or a choice of a group that has no such option."""
        key, word = override.key_or_group, str(override.input_line)
        if not key:
            return [Fault("cannot be read as an override", repr(word), UNREADABLE)]
        if override.is_sweep_override():
            if not override.is_discrete_sweep():
                return [Fault("a sweep needs its values", word, "list them: key=a,b,c")]
            if key.startswith("hydra"):
                return [Fault(f"{key} cannot be swept", word, "give one value")]
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
        parsed, _ = self.read(overrides)
        chosen = [o for o in parsed if o.key_or_group.startswith("hydra.") or not _is_plain(self, o)]
        overrides = [str(override.input_line) for override in chosen]
        try:
            return compose(CONFIG_NAME, list(overrides), return_hydra_config=True).hydra
        except (HydraException, OmegaConfBaseException, AssertionError) as error:
            raise ConfigError([_composition_fault(error, overrides)]) from None

    def configs(self, lists: Sequence[Sequence[str]]) -> tuple[tuple[RunConfig, ...], list[Fault]]:
        """The configuration of each list of overrides, and the faults of all together."""
        configs: list[RunConfig] = []
        faults: list[Fault] = []
        for words in lists:
            try:
                values, found = self.values(words)
                faults += found
                configs.append(RunConfig.parse(values))
            except ConfigError as error:
                faults += error.faults
        return tuple(configs), faults

    def values(self, words: Sequence[str]) -> tuple[dict[str, Any], list[Fault]]:
        """The resolved values of one job as plain containers, and a fault for every word that sets none of them.

        Raises:
            ConfigError: If nothing can be composed at all.
        """
        overrides, faults = self.read(words)
        plain = [override for override in overrides if _is_plain(self, override)]
        config = copy.deepcopy(self._base(tuple(str(o.input_line) for o in overrides if not _is_plain(self, o))))
        known = list(_keys(OmegaConf.to_container(config, resolve=False)))
        for override in plain:
            key, word = override.key_or_group, str(override.input_line)
            if key.startswith("hydra."):
                continue
            if key not in known:
                faults.append(Fault(f"there is no option {key}", word, _nearest_keys(key, known)))
                continue
            try:
                # As Hydra itself does: a dictionary is merged into the one that is there.
                OmegaConf.update(config, key, override.value(), merge=True)
            except OmegaConfBaseException as error:
                reason = str(error).splitlines()[0]
                faults.append(Fault(f"{key} cannot be set: {reason}", word, "+KEY=VALUE adds a key"))
        try:
            values: Any = OmegaConf.to_container(config, resolve=True)
        except OmegaConfBaseException as error:
            what = f"a value cannot be resolved: {' '.join(str(error).split())}"
            raise ConfigError([*faults, Fault(what)]) from None
        # The choices of presets have done their work.
        return {key: value for key, value in values.items() if key not in ("experiment", "debug")}, faults

    def _base(self, words: tuple[str, ...]) -> DictConfig:
        """The configuration of these choices of groups; a tenth of a second each, so kept for the other jobs."""
        if words not in self._bases:
            try:
                self._bases[words] = compose(CONFIG_NAME, list(words))
            except (HydraException, OmegaConfBaseException, AssertionError) as error:
                raise ConfigError([_composition_fault(error, words)]) from None
        return self._bases[words]


def _composition_fault(error: Exception, words: Sequence[str]) -> Fault:
    """Hydra's own words for what cannot be composed; it keeps some of them in the cause."""
    reason = " ".join((str(error) or str(error.__cause__)).split())
    return Fault(f"Hydra cannot compose the configuration: {reason}", " ".join(words), "see python train.py --help")


def _is_plain(composer: Composer, override: Override) -> bool:
    """Whether an override only sets a value that the chosen groups already have."""
    return override.type == OverrideType.CHANGE and not composer.is_group(override) and override.package is None


def _nearest_keys(key: str, keys: Sequence[str]) -> str:
    """The options that a mistyped one may mean: those of its section, or of its name in another section."""
    section, _, last = key.rpartition(".")
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
