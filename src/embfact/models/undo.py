"""A change to a model that is made completely or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def unchanged_on_error(model: nn.Module) -> Iterator[None]:
    """Restore a model if the block fails: its modules, weights and configuration.

    Weights are restored as the tensors that they were: the block may replace them, but must not write into them.

    Args:
        model: A model; its ``config``, and those of its parts, are restored too.
    """
    modules = list(model.modules())
    configs = {id(config): config for config in (getattr(module, "config", None) for module in modules) if config}
    parts = [*modules, *configs.values()]
    # A module keeps its parts in dictionaries and sets: these are copied too.
    before = [
        (part, {name: value.copy() if isinstance(value, dict | set) else value for name, value in vars(part).items()})
        for part in parts
    ]
    try:
        yield
    except BaseException:
        for part, values in before:
            vars(part).clear()
            vars(part).update(values)
        raise
