"""Methods by their name, or by the ``_target_`` in a configuration."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import embfact.factorization
from embfact.errors import ConfigError, ErrorDetail, UserError, nearest
from embfact.factorization.auto import Auto
from embfact.factorization.base import Method


def method_class(target: Any) -> type[Method]:
    """The class that a ``_target_`` of conf/factorization/ names.

    Args:
        target: Dotted path, e.g. ``"embfact.factorization.svd.SVD"``, in any importable package.

    Raises:
        ConfigError: If there is no such class, or it is not a `Method`.
    """
    remedy = "_target_ is the dotted path of a Method class, e.g. embfact.factorization.svd.SVD"
    module_name, _, class_name = str(target).rpartition(".")
    try:
        found = getattr(import_module(module_name), class_name)
    except Exception as error:  # a module of the user's own may raise anything
        raise ConfigError(
            [ErrorDetail(f"factorization._target_ cannot be imported: {error}", repr(target), remedy)]
        ) from None
    if not (isinstance(found, type) and issubclass(found, Method)):
        raise ConfigError([ErrorDetail("factorization._target_ is not a factorization method", repr(target), remedy)])
    if "name" not in vars(found):
        what = f"{class_name} has no name of its own, so its runs would pass for those of {found.name}"
        raise ConfigError([ErrorDetail(what, "", f'add name: ClassVar[str] = "..." to {class_name}')])
    return found


def build_method(options: dict[str, Any]) -> Method:
    """The method of a ``factorization`` section: ``_target_`` and the fields of its class.

    Raises:
        ConfigError: If the class does not exist.
        pydantic.ValidationError: If its options are wrong.
    """
    own = {key: value for key, value in options.items() if key != "_target_"}
    return method_class(options.get("_target_")).model_validate(own)


def methods() -> dict[str, type[Method]]:
    """Every method by its name, as in ``conf/factorization/NAME.yaml``; `Auto` chooses one of them."""
    kinds = [kind for module in _modules() for kind in _defined_in(module) if kind is not Auto]
    return {kind.name: kind for kind in sorted(kinds, key=lambda kind: kind.name)}


def method_of(name: str) -> type[Method]:
    """The class of a method.

    Raises:
        UserError: If no method has this name, with the nearest names.
    """
    if name == Auto.name:
        raise UserError(
            "auto chooses a method by held-out text, which train.py and scripts/factorize.py have; name one here, "
            "e.g. transform_coding"
        )
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
