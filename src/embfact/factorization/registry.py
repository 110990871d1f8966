"""From the options in a configuration to their method."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from embfact.errors import ConfigError, ErrorDetail
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
