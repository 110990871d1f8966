"""The methods of this package by name."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

import embfact.factorization
from embfact.errors import UserError, nearest
from embfact.factorization.base import Method


def methods() -> dict[str, type[Method]]:
    """Every method by its name, as in ``conf/factorization/NAME.yaml``."""
    kinds = [kind for module in _modules() for kind in _defined_in(module)]
    return {kind.name: kind for kind in sorted(kinds, key=lambda kind: kind.name)}


def method_of(name: str) -> type[Method]:
    """The class of a method.

    Raises:
        UserError: If no method has this name, with the nearest names.
    """
    # Nearly every method is in the module of its name: then no other module is imported.
    for kind in _defined_in(name) if name in _modules() else []:
        if kind.name == name:
            return kind
    found = methods()
    if name not in found:
        raise UserError(f"no factorization is called {name!r}; {nearest(name, found)}")
    return found[name]


def _modules() -> list[str]:
    return [info.name for info in iter_modules(embfact.factorization.__path__)]


def _defined_in(name: str) -> list[type[Method]]:
    """The methods that a module defines rather than imports; a base class has no name."""
    module = import_module(f"{embfact.factorization.__name__}.{name}")
    kinds = [kind for kind in vars(module).values() if isinstance(kind, type) and issubclass(kind, Method)]
    return [kind for kind in kinds if kind.__module__ == module.__name__ and "name" in vars(kind)]
