"""Pydantic's errors in terms of the options that a user types."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ValidationError

from embfact.errors import ErrorDetail, nearest
from embfact.formatting.typed import typed


def errors_of(error: ValidationError, model: type[BaseModel], prefix: str = "") -> list[ErrorDetail]:
    """One error for each failure of a validation; the field descriptions of the model become remedies.

    ``prefix`` is the dotted path of the validated section with a trailing dot, or empty.
    """
    return [_detail(finding, model, prefix) for finding in error.errors(include_url=False)]


def _detail(finding: Any, model: type[BaseModel], prefix: str) -> ErrorDetail:
    location = [str(part) for part in finding["loc"]]
    key = prefix + ".".join(part for part in location if part not in ("int", "float"))
    kind, message, value = finding["type"], finding["msg"], finding["input"]
    found = repr(value) if isinstance(value, str) else typed(value)  # quotes tell a text from a number
    if kind == "value_error":
        text = message.removeprefix("Value error, ")
        # An error between options is complete; one about a single option needs its name in front.
        own = text.startswith("must")
        return ErrorDetail(f"{key} {text}", found, _describe(model, location)) if own else ErrorDetail(text)
    if kind == "extra_forbidden":
        return ErrorDetail(f"{key} is not an option", key, nearest(location[-1], _fields(model, location[:-1])))
    if kind == "missing":
        section = len(location) == 1 and _fields(model, location)
        remedy = f"choose one: {key}=NAME" if section else _describe(model, location)
        return ErrorDetail(f"{key} is missing", "nothing", remedy)
    if kind == "literal_error":
        allowed = [name.strip("'") for name in finding["ctx"]["expected"].replace(" or ", ", ").split(", ")]
        return ErrorDetail(f"{key} has no such choice", found, nearest(str(value), allowed))
    if kind in ("bool_parsing", "bool_type"):
        return ErrorDetail(f"{key} must be true or false", found, _describe(model, location))
    if kind == "string_too_short":
        return ErrorDetail(f"{key} must not be empty", found, _describe(model, location))
    text = message[0].lower() + message[1:]
    return ErrorDetail(f"{key}: {text.removeprefix('input ')}", found, _describe(model, location))


def _fields(model: type[BaseModel], location: Iterable[str]) -> list[str]:
    """Names of the options of the section at this location."""
    for part in location:
        annotation = model.model_fields[part].annotation if part in model.model_fields else None
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        model = annotation
    return list(model.model_fields)


def _describe(model: type[BaseModel], location: list[str]) -> str:
    """The meaning of the option at this location, from its description."""
    for part in location:
        field = model.model_fields.get(part)
        if field is None:
            break
        if field.description:
            return f"it means: {field.description}"
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            model = field.annotation
    return "see python train.py --help"
