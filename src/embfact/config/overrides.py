"""The arguments of a command line in Hydra's grammar, and what is wrong with each on its own.

Hydra reports errors by its own exceptions and by those of whatever it fails at, which differ again under ``python -O``:
each call of Hydra here and in `compose` turns all of them into `ConfigError`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice, product
from math import prod
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override, OverrideType, RangeSweep, Sweep, Transformer, ValueType
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from embfact.config.own_folder import groups, misplaced, own_folder
from embfact.errors import ConfigError, ErrorDetail, nearest

UNREADABLE = "write key=value, e.g. rank=64; quote special characters: 'key=\"a (1).csv\"'"
MOST = 10_000  # runs of one command: each is composed and checked before the first begins
# Hydra's own settings that have an effect.
_HEEDED = ("hydra.mode", "hydra.sweeper.params", "hydra.launcher", "hydra/launcher")


@contextmanager
def refusing(what: str, found: str, remedy: str) -> Iterator[None]:
    """Turn whatever Hydra raises within the block into a refusal that ends with Hydra's own message.

    Raises:
        ConfigError: In place of any other exception.
    """
    try:
        yield
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError([ErrorDetail(f"{what}: {reason_of(error)}", found, remedy)]) from None


def reason_of(error: BaseException) -> str:
    """The message of an exception of Hydra, on one line."""
    if isinstance(error.__cause__, OmegaConfBaseException):
        return str(error.__cause__).splitlines()[0]  # the others say which object in memory it was
    said = " ".join(str(error).split())
    if isinstance(error, HydraException | OmegaConfBaseException) and said:
        return said
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


class Reader:
    """Reads arguments within an open Hydra session."""

    def __init__(self) -> None:
        self._loader = GlobalHydra.instance().config_loader()
        self._parser = OverridesParser.create(config_loader=self._loader)
        self._groups: dict[str, list[str]] = {}

    def read(self, arguments: Sequence[str]) -> tuple[list[Override], list[ErrorDetail]]:
        """The overrides that can be composed, and the errors of the other arguments."""
        good, errors = [], []
        for argument in arguments:
            try:
                argument.encode()  # bytes that are not text could not be written to a record
                (override,) = self._parser.parse_overrides([argument])
                found = self._errors_of(override)
            except Exception as error:
                found = [_unreadable(argument, error)]
            errors += found
            if not found:
                good.append(override)
        return good, errors

    def is_choice(self, override: Override) -> bool:
        """Whether an override chooses an option of a group, e.g. ``data=sst2``, rather than setting a value."""
        # As in Hydra: a dictionary is merged into the options of the group.
        return override.package is not None or (self._is_group(override) and not isinstance(override.value(), dict))

    def _is_group(self, override: Override) -> bool:
        parent, _, last = override.key_or_group.rpartition("/")
        if parent not in self._groups:
            self._groups[parent] = self._loader.list_groups(parent)
        return last in self._groups[parent]

    def _errors_of(self, override: Override) -> list[ErrorDetail]:
        """What is wrong with an override on its own: its form, or a choice that its group does not have."""
        key = override.key_or_group
        if not key:
            return [_unreadable(str(override.input_line))]
        errors = _hydras_errors(override) or _values_errors(override)
        if errors or override.type == OverrideType.DEL or not self._is_group(override):
            return errors
        if override.type == OverrideType.CHANGE and key not in groups():
            found = f"{own_folder()}/{key}"
            return [ErrorDetail(f"{key} is a folder of yours, and not a group", found, nearest(key, groups()))]
        options = self._loader.get_group_options(key)
        # The values without quotation marks.
        values = [value for one in _alternatives(override) if not isinstance(value := one.value(), dict)]
        # Hydra merges the options of a list, and fails at null; neither is meant.
        lists = [
            ErrorDetail(f"{key} takes one option", str(value), "a sweep is a,b without brackets, and -m")
            for value in values
            if isinstance(value, list)
        ]
        names = [name for value in values for name in (value if isinstance(value, list) else [value])]
        wrong = ["null" if name is None else str(name) for name in names if str(name) not in options]
        return lists + [
            ErrorDetail(f"{key} has no option of this name", name, misplaced(name) or nearest(name, options))
            for name in wrong
        ]


def _unreadable(argument: str, error: Exception | None = None) -> ErrorDetail:
    # Errors in a call explain themselves; only the author of the grammar understands the others.
    why = [line for line in str(error).splitlines() if " while evaluating " in line]
    # Hydra reads braces and calls within its assertions.
    remedy = UNREADABLE if __debug__ else f"Python runs without assertions: unset PYTHONOPTIMIZE, or {UNREADABLE}"
    return ErrorDetail("cannot be read as an override" + "".join(f": {line}" for line in why), repr(argument), remedy)


def jobs_of(overrides: Sequence[Override]) -> list[list[Override]]:
    """The overrides of each job of a sweep, in Hydra's order: the last argument varies fastest.

    Raises:
        ConfigError: If there are too many.
    """
    # As in Hydra's sweeper, an argument replaces an earlier one with the same key.
    each = {override.get_key_element(): _alternatives(override) for override in overrides}
    count = prod(map(len, each.values()))
    if count > MOST:
        swept = " ".join(str(o.input_line) for o in overrides if o.is_sweep_override())
        raise ConfigError([_too_many(f"{count:,}", swept)])
    return [list(job) for job in product(*each.values())]


def _alternatives(override: Override) -> list[Override]:
    """An override for each value of a sweep."""
    if not override.is_sweep_override():
        return [override]
    key = override.get_key_element()
    return [
        replace(override, _value=value, value_type=ValueType.ELEMENT, input_line=f"{key}={Transformer.str(value)}")
        for value in override.sweep_iterator()
    ]


def _hydras_errors(override: Override) -> list[ErrorDetail]:
    """Refuse what would have no effect, or leave Hydra without something it needs."""
    key, argument = override.key_or_group, str(override.input_line)
    if not key.startswith(("hydra.", "hydra/")) and key != "hydra":
        return []
    if not any(key == heeded or key.startswith(f"{heeded}.") for heeded in _HEEDED):
        remedy = "runs are written to output_dir; Hydra's own settings are hydra/launcher, hydra.launcher.OPTION, "
        return [ErrorDetail(f"{key} has no effect here", argument, remedy + "hydra.sweeper.params and hydra.mode")]
    if override.type == OverrideType.DEL:
        return [ErrorDetail(f"{key} cannot be left out", argument, f"set it: {key}=VALUE")]
    if override.is_sweep_override():
        return [ErrorDetail(f"{key} cannot be swept", argument, "give one value, in quotes if it has commas")]
    return []


def _values_errors(override: Override) -> list[ErrorDetail]:
    """What is wrong with the values of a sweep, or with one that only a sweep can have."""
    key, argument = override.key_or_group, str(override.input_line)
    nested = ErrorDetail("a range or another sweep is among the values", argument, "list every value: key=0,1,2,7")
    if not override.is_sweep_override():
        return [nested] if _holds_sweep(override.value()) else []
    if not override.is_discrete_sweep():
        return [ErrorDetail("a sweep needs its values", argument, "list them: key=a,b,c")]
    value = override.value()
    # Counted before it is shuffled, for which Hydra would list it.
    if isinstance(value, RangeSweep) and len(list(islice(value.range(), MOST + 1))) > MOST:
        return [_too_many(f"more than {MOST:,}", argument)]
    values = list(override.sweep_iterator())
    if not values:
        return [ErrorDetail(f"{key} is swept over nothing", argument, "give it a value")]
    return [nested] if _holds_sweep(values) else []


def _holds_sweep(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_holds_sweep, value.values()))
    return any(map(_holds_sweep, value)) if isinstance(value, list) else isinstance(value, Sweep | Glob)


def _too_many(count: str, found: str) -> ErrorDetail:
    return ErrorDetail(f"a sweep has at most {MOST:,} runs, this one {count}", found, "split it into several commands")
