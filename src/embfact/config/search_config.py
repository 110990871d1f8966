"""The section ``search``: options that are tuned before the runs. Light to import: no torch, no Hydra."""

from __future__ import annotations

from typing import Annotated, Any, cast

from pydantic import Field, TypeAdapter, ValidationError, field_validator, model_validator

from embfact.config.sections import OptimizerConfig, Section, TaskConfig, TrainerConfig, UserPath, Whole
from embfact.errors import nearest
from embfact.formatting.typed import number


class SearchRange(Section):
    """The values that a search may choose from."""

    low: float = Field(description="the smallest value")
    high: float = Field(description="the largest value")
    log: bool = Field(False, description="draw the logarithm evenly")

    @model_validator(mode="after")
    def _low_is_below_high(self) -> SearchRange:
        if self.low >= self.high or (self.log and self.low <= 0):
            raise ValueError(
                "a range of search.space needs low < high, and low above 0 where log=true "
                f"(found {number(self.low)} and {number(self.high)})"
            )
        return self


class SearchConfig(Section):
    """Tuning before the runs: the same number of trials for every method, judged on the held-out slice alone."""

    trials: int = Field(ge=0, description="trials for each data set, model, method and size; 0: no search")
    space: dict[str, SearchRange] = Field(description="options to tune, e.g. optimizer.lr")
    checks: Whole = Field(description="held-out scores per trial; a hopeless trial is stopped at one of them")
    startup: int = Field(ge=0, description="first trials, drawn at random and never stopped early")
    seed: int = Field(ge=0, lt=2**32, description="seed of the drawn options, and of the first training of a trial")
    seeds: Whole = Field(1, description="trainings of each trial, with the seeds from search.seed on")
    sweep: UserPath | None = Field(
        None, description="folder of an earlier sweep; take its best options for each method"
    )
    grid: dict[str, list[float]] = Field({}, description="what search.sweep tried; set by embfact, for the record")

    @field_validator("space", mode="before")
    @classmethod
    def _sections_may_be_nested(cls, value: Any) -> Any:
        # As in Hydra: optimizer: {lr: {low: ...}} is optimizer.lr.
        return _ranges(value) if isinstance(value, dict) else value

    @field_validator("space")
    @classmethod
    def _only_what_every_method_has_is_tuned(cls, value: dict[str, SearchRange]) -> dict[str, SearchRange]:
        for name, found in value.items():
            if name not in TUNABLE:
                raise ValueError(f"search.space: {name} cannot be tuned; {nearest(name, TUNABLE)}")
            for bound in (found.low, found.high):
                try:
                    TUNABLE[name].validate_python(bound)
                except ValidationError as error:
                    reason = error.errors()[0]["msg"].removeprefix("Input ")
                    raise ValueError(f"search.space: a bound of {name} {reason} (found {number(bound)})") from None
        return value

    @model_validator(mode="after")
    def _there_is_something_to_tune(self) -> SearchConfig:
        if self.trials and self.sweep:
            raise ValueError("search.sweep takes the options of an earlier sweep, so it needs search.trials=0")
        if self.trials and not self.space:
            raise ValueError("search.trials needs a search.space; use search=lr")
        return self


def _ranges(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Ranges by the dotted names of their options."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict) and value and all(isinstance(inner, dict) for inner in value.values()):
            flat |= _ranges(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


# Real-valued options that affect a result and that every method has: their best values may differ between methods.
TUNABLE: dict[str, TypeAdapter[Any]] = {
    f"{section}.{key}": TypeAdapter(cast(Any, Annotated[field.annotation, field]))
    for section, kind in (("optimizer", OptimizerConfig), ("task", TaskConfig), ("trainer", TrainerConfig))
    for key, field in kind.model_fields.items()
    if field.annotation in (float, float | None)
}
