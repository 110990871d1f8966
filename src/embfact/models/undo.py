"""A change to a model that is made whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn


@contextmanager
def unchanged_on_error(model: nn.Module) -> Iterator[None]:
    """Put a model back as it was if what is done in the block fails: its modules, weights and configuration.

    Weights are put back as the tensors that they were: the block may replace them, and must not write into them.

    Args:
        model: A model; a ``config`` of it, or of a part of it, is put back too.
    """
    modules = list(model.modules())
    configs = {id(config): config for config in (getattr(module, "config", None) for module in modules) if config}
    parts = [*modules, *configs.values()]
    before = [(part, _copy(vars(part))) for part in parts]
    try:
        yield
    except BaseException:
        for part, values in before:
            vars(part).clear()
            vars(part).update(values)
        raise


def _copy(values: dict[str, Any]) -> dict[str, Any]:
    """A copy whose dictionaries and sets, in which a module keeps its parts, are copies too."""
    return {name: value.copy() if isinstance(value, dict | set) else value for name, value in values.items()}
