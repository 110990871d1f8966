"""From the arguments of a command line to the typed configurations of all its jobs.

Hydra composes; this module calls it early and collects every error, before a directory is made or anything heavy is
imported. Hydra itself would stop at the first error, after making its directories, with exit code 1.
"""

from __future__ import annotations

import copy
import difflib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.types import Override, OverrideType
from omegaconf import DictConfig, OmegaConf

from embfact.config.hydra_bridge import CONFIG_NAME, apply_override
from embfact.config.overrides import Reader, jobs_of, refusing
from embfact.config.own_folder import check_own_folder
from embfact.config.run_config import RunConfig
from embfact.errors import ConfigError, ErrorDetail, nearest

_HELP = "see python train.py --help"
_SWEEP = "hydra.sweeper.params"


# A default that yields to other options: rank has one, and budget or energy replace it.
OmegaConf.register_new_resolver(
    "unless", lambda value, *others: value if all(other is None for other in others) else None, replace=True
)


@dataclass(frozen=True)
class RunRequest:
    """What a command line requests.

    Attributes:
        configs: One configuration, or those of the sweep in its order.
        multirun: Whether it is a sweep.
        overrides: The overrides that all runs share, for Hydra's own settings (its launcher).
        launcher: The section of the launcher that a sweep uses.
    """

    configs: tuple[RunConfig, ...]
    multirun: bool
    overrides: tuple[str, ...] = ()
    launcher: Mapping[str, Any] = field(default_factory=dict)


@contextmanager
def hydra_session(conf_dir: Path) -> Iterator[Composer]:
    """Hydra, opened on a folder of configurations and closed afterwards, so that a launcher can open its own."""
    check_own_folder(conf_dir)
    GlobalHydra.instance().clear()
    with (
        warnings.catch_warnings(),
        initialize_config_dir(str(conf_dir.resolve()), version_base="1.3", job_name=CONFIG_NAME),
    ):
        # OmegaConf's would show lines of its own source, as for ${oc.deprecated:rank}.
        warnings.filterwarnings("ignore", category=UserWarning, module="omegaconf")
        yield Composer()


def read_request(conf_dir: Path, arguments: Sequence[str], multirun: bool) -> RunRequest:
    """Compose and validate every job of a command line.

    Args:
        conf_dir: The folder with ``train.yaml``.
        arguments: Overrides as typed, e.g. ``["factorization=svd", "rank=64,128"]``.
        multirun: Whether ``-m`` was given; an experiment may also request it (``hydra.mode: MULTIRUN``).

    Raises:
        ConfigError: With the errors of all jobs.
    """
    with hydra_session(conf_dir) as composer:
        overrides, errors = composer.read(arguments)
        try:
            fixed = [override for override in overrides if not override.is_sweep_override()]
            settings, found = composer.settings(fixed)
            errors += found
            multirun = multirun or settings.multirun
            if multirun:
                swept, found = composer.read(settings.sweep)
                overrides, errors = [*swept, *overrides], [*found, *errors]
            else:
                errors += _sweeps_errors(overrides)
                overrides = fixed
            configs, more = composer.configs_of(jobs_of(overrides))
        except ConfigError as error:
            raise ConfigError([*errors, *error.errors]) from None
    # A mistyped choice of a group hides its options: they are not reported as unknown too.
    unknown = tuple(f"there is no option {detail.what.split()[0]}." for detail in errors)
    errors += [detail for detail in more if not (unknown and detail.what.startswith(unknown))]
    if errors:
        raise ConfigError(errors)
    # A launcher has no use for the swept values.
    rest = (str(o.input_line) for o in fixed if not o.key_or_group.startswith(_SWEEP))
    return RunRequest(configs, multirun, tuple(rest), settings.launcher)


def check_question(conf_dir: Path, arguments: Sequence[str]) -> None:
    """Refuse arguments that do not compose to one configuration, valid or not.

    Raises:
        ConfigError: With every error.
    """
    with hydra_session(conf_dir) as composer:
        overrides, errors = composer.read(arguments)
        errors += _sweeps_errors(overrides)
        errors += composer.values([str(o.input_line) for o in overrides if not o.is_sweep_override()])[1]
    if errors:
        raise ConfigError(errors)


def _sweeps_errors(overrides: Sequence[Override]) -> list[ErrorDetail]:
    """Refuse lists of values for a single configuration."""
    sweeps = " ".join(str(override.input_line) for override in overrides if override.is_sweep_override())
    remedy = "add -m for a sweep, or brackets for one list: key=[a,b]"
    return [ErrorDetail("a list of values makes a sweep", sweeps, remedy)] if sweeps else []


@dataclass(frozen=True)
class Settings:
    """What a command line says to Hydra itself.

    Attributes:
        multirun: Whether it requests a sweep (``hydra.mode``).
        sweep: What an experiment sweeps over, as arguments (``hydra.sweeper.params``).
        launcher: The section of the launcher.
    """

    multirun: bool
    sweep: tuple[str, ...]
    launcher: Mapping[str, Any]


@dataclass(frozen=True)
class _Base:
    """The result of some group choices: the values of a job, and Hydra's own settings."""

    job: DictConfig
    hydra: DictConfig


class Composer:
    """Composes jobs within an open Hydra session; what jobs share is composed once."""

    def __init__(self) -> None:
        self._reader = Reader()
        self._bases: dict[tuple[str, ...], _Base | ConfigError] = {}
        self.read = self._reader.read

    def settings(self, overrides: Sequence[Override]) -> tuple[Settings, list[ErrorDetail]]:
        """What overrides say to Hydra itself, and the errors of those without effect on it.

        Raises:
            ConfigError: If nothing can be composed at all.
        """
        own = [o for o in overrides if o.key_or_group.startswith("hydra.")]
        hydra = self._base(overrides).hydra
        hydra = copy.deepcopy(hydra) if own else hydra
        # Any option can be swept, whether an experiment already does so or not.
        swept = [replace(o, type=OverrideType.FORCE_ADD) if o.key_or_group.startswith(_SWEEP) else o for o in own]
        errors = _apply(swept, hydra)
        found = " ".join(str(o.input_line) for o in own)
        with refusing("Hydra cannot read its own settings", found, _HELP):
            params = OmegaConf.select(hydra, _SWEEP) or {}
            sweep = tuple(f"{key}={value}" for key, value in params.items())
            multirun = str(OmegaConf.select(hydra, "hydra.mode")).endswith("MULTIRUN")
            launcher = OmegaConf.select(hydra, "hydra.launcher")
        if not isinstance(launcher, DictConfig):
            errors.append(ErrorDetail("hydra.launcher is not a launcher", found, "choose one: hydra/launcher=NAME"))
            raise ConfigError(errors)
        options: Any = OmegaConf.to_container(launcher, resolve=False)
        return Settings(multirun, sweep, options), errors

    def configs(self, lists: Sequence[Sequence[str]]) -> tuple[tuple[RunConfig, ...], list[ErrorDetail]]:
        """The configuration of each list of arguments, and all their errors."""
        read = [self.read(arguments) for arguments in lists]
        configs, errors = self.configs_of([overrides for overrides, _ in read])
        return configs, [*(detail for _, found in read for detail in found), *errors]

    def configs_of(self, jobs: Sequence[Sequence[Override]]) -> tuple[tuple[RunConfig, ...], list[ErrorDetail]]:
        """The configuration of each job, and all their errors."""
        configs: list[RunConfig] = []
        errors: list[ErrorDetail] = []
        for overrides in jobs:
            try:
                values, found = self._values(overrides)
                errors += found
                configs.append(RunConfig.parse(values))
            except ConfigError as error:
                errors += error.errors
        return tuple(configs), errors

    def values(self, arguments: Sequence[str]) -> tuple[dict[str, Any], list[ErrorDetail]]:
        """The resolved values of one job as plain containers, and an error for every argument that sets none.

        Raises:
            ConfigError: If nothing can be composed at all.
        """
        overrides, errors = self.read(arguments)
        values, found = self._values(overrides)
        return values, [*errors, *found]

    def _values(self, overrides: Sequence[Override]) -> tuple[dict[str, Any], list[ErrorDetail]]:
        config = copy.deepcopy(self._base(overrides).job)
        plain = [o for o in overrides if not self._reader.is_choice(o) and not o.key_or_group.startswith("hydra.")]
        errors = _apply(plain, config)
        try:
            with refusing("a value cannot be resolved", "", ""):
                # The link, not its value: runs whose rows follow the seed are repetitions.
                if _follows_seed(config):
                    config.data.split_seed = "seed"
                values: Any = OmegaConf.to_container(config, resolve=True)
        except ConfigError as error:
            raise ConfigError([*errors, *error.errors]) from None
        # The names of presets are no longer needed.
        return {key: value for key, value in values.items() if key not in ("experiment", "debug")}, errors

    def _base(self, overrides: Sequence[Override]) -> _Base:
        """The result of the group choices; it takes a tenth of a second, so it is kept for the other jobs."""
        choices = tuple(str(o.input_line) for o in overrides if self._reader.is_choice(o))
        if choices not in self._bases:
            try:
                self._bases[choices] = _compose(choices)
            except ConfigError as error:
                self._bases[choices] = error
        base = self._bases[choices]
        if isinstance(base, ConfigError):
            raise base
        return base


def _follows_seed(config: DictConfig) -> bool:
    data = config.get("data")
    return bool(data) and OmegaConf.is_interpolation(data, "split_seed") and data.split_seed == config.get("seed")


def _compose(choices: Sequence[str]) -> _Base:
    with refusing("Hydra cannot compose the configuration", " ".join(choices), _HELP):
        whole = compose(CONFIG_NAME, list(choices), return_hydra_config=True)
        return _Base(_part(whole, [key for key in whole if key != "hydra"]), _part(whole, ["hydra"]))


def _part(config: DictConfig, keys: Sequence[Any]) -> DictConfig:
    """A copy of some sections, as closed to unknown keys as the whole."""
    part: DictConfig = OmegaConf.masked_copy(config, list(keys))
    OmegaConf.set_struct(part, True)
    return part


def _apply(overrides: Sequence[Override], config: DictConfig) -> list[ErrorDetail]:
    """Set values of a composed configuration in place; returns an error for every override that fails."""
    errors: list[ErrorDetail] = []
    known = _keys(config) if overrides else []
    for override in overrides:
        key, argument = override.key_or_group, str(override.input_line)
        change = override.type == OverrideType.CHANGE
        if change and key not in known:
            errors.append(ErrorDetail(f"there is no option {key}", argument, _nearest_keys(key, known)))
            continue
        try:
            with refusing(f"{key} cannot be set", argument, "+KEY=VALUE adds a key" if change else ""):
                apply_override(override, config)
        except ConfigError as error:
            errors += error.errors
        if not change:
            known = _keys(config)
    return errors


def _nearest_keys(key: str, keys: Sequence[str]) -> str:
    """The options that a mistyped one may mean: those of its section, or of the same name in another section."""
    section, _, last = key.rpartition(".")
    if namesakes := [name for name in keys if name.rpartition(".")[2] == last]:
        return "did you mean " + " or ".join(map(repr, namesakes)) + "?"
    if difflib.get_close_matches(key, keys):
        return nearest(key, keys)
    return nearest(
        key, [name for name in keys if name.rpartition(".")[0] == section] or [k for k in keys if "." not in k]
    )


def _keys(config: DictConfig) -> list[str]:
    """All dotted names of a configuration."""

    def dotted(values: Any, prefix: str) -> Iterator[str]:
        for key, value in values.items():
            yield f"{prefix}{key}"
            if isinstance(value, dict):
                yield from dotted(value, f"{prefix}{key}.")

    return list(dotted(OmegaConf.to_container(config, resolve=False), ""))
