"""The typed configuration of one run.

Light to import: no torch, no Hydra. `conf/` holds the values; `sections.py` and this module say which are allowed and
what each means.
"""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import Field, SerializeAsAny, ValidationError, field_validator, model_validator

from embfact.config.data_config import DataConfig
from embfact.config.search_config import SearchConfig
from embfact.config.sections import (
    TRAINING,
    EvidenceConfig,
    LoggerConfig,
    ModelConfig,
    OptimizerConfig,
    PathsConfig,
    RefactorizeConfig,
    Section,
    TaskConfig,
    Trainable,
    TrainerConfig,
    UserPath,
    Whole,
)
from embfact.config.validation import errors_of
from embfact.embeddings.layout import DEFAULT_GROUP, FLOAT32, Storage, StorageFormat, StorageGroup
from embfact.errors import ConfigError, ErrorDetail
from embfact.factorization.auto import Auto
from embfact.factorization.base import BudgetUnit, Factorization, Method, TokenizerMethod
from embfact.factorization.none import Dense
from embfact.factorization.registry import build_method, method_class
from embfact.factorization.target import SizeTarget


class RunConfig(Section):
    """One run: what is trained on what, and where the record goes."""

    data: DataConfig
    model: ModelConfig
    factorization: SerializeAsAny[Method]
    task: TaskConfig
    trainer: TrainerConfig
    optimizer: OptimizerConfig
    evidence: EvidenceConfig
    refactorize: RefactorizeConfig
    search: SearchConfig
    logger: LoggerConfig
    paths: PathsConfig
    rank: Whole | None = Field(description="size of the factorization: its inner dimension, or see docs/methods.md")
    budget: float | None = Field(None, gt=0, le=1, description="largest share of the dense float32 table")
    budget_unit: BudgetUnit = Field("bytes", description="whether the budget is a share of bytes or of params")
    energy: float | None = Field(None, gt=0, le=1, description="share of the (weighted) squared norm to retain")
    storage: StorageFormat = Field(description="how the embedding is stored after training")
    storage_group: StorageGroup = Field(
        DEFAULT_GROUP, description="numbers of a row that share a scale in int8 to int2: 32, 64, 128, or row for all"
    )
    quantization: Literal["post_training", "aware"] = Field(description="aware: training imitates the storage")
    trainable: Trainable = Field(
        description="what is trained besides the head: all, the embedding, its projection, or all but the embedding"
    )
    seed: int = Field(ge=0, lt=2**32, description="seed of the head, the factors, dropout and the order of rows")
    experiment_name: str = Field(pattern=r"^\w[\w.-]*$", max_length=100, description="folder of the runs and W&B group")
    output_dir: UserPath = Field(description="folder that holds the run directories")
    tags: list[str] = Field(description="words to find the run by")
    baseline: bool = Field(description="a sweep adds one dense run per data set, model and seed")
    force: bool = Field(description="train finished runs again")
    resume: bool = Field(description="resume interrupted runs from their last checkpoint")
    checkpoint_every: Whole | str | None = Field(
        description="steps, or minutes as in 5min; null: only when interrupted"
    )
    fail_fast: bool = Field(description="stop a sweep at its first failed run")
    output_url: str | None = Field(None, min_length=1, description="fsspec URL that finished runs are copied to")
    plan: bool = Field(description="print what would be done, and stop")
    profile: bool = Field(False, description="print where the seconds of each run went")
    checkpoint: Literal["none", "last", "best"] = Field(description="weights to keep and to report on")

    @field_validator("checkpoint_every", mode="before")
    @classmethod
    def _steps_or_minutes(cls, value: Any) -> Any:
        minutes = isinstance(value, str) and re.fullmatch(r"\d*\.?\d+min", value) and float(value[:-3]) > 0
        steps = isinstance(value, int) and value > 0
        if value is not None and not minutes and not steps:
            raise ValueError("must be a number of steps, e.g. 200, or of minutes, e.g. 5min")
        return value

    @model_validator(mode="after")
    def _auto_has_a_budget(self) -> RunConfig:
        if not isinstance(self.factorization, Auto):
            return self
        tolerance = self.factorization.tolerance
        if (self.budget is None) == (tolerance is None) or self.energy or self.budget_unit != "bytes":
            given = {"rank": self.rank, "energy": self.energy, "budget": self.budget, "budget_unit": self.budget_unit}
            given["factorization.tolerance"] = tolerance
            found = " ".join(f"{name}={value}" for name, value in given.items() if value not in (None, "bytes"))
            raise ValueError(
                "factorization=auto chooses a method within a share of the table's bytes, or a loss of accuracy; set "
                f"one: budget=0.02, or factorization.tolerance=0.5 (found {found})"
            )
        if tolerance is not None and (self.data.target == "float" or self.data.selection_size == 0):
            raise ValueError(
                "factorization.tolerance is in points of accuracy on held-out rows, which this data set does not have; "
                "set a budget"
            )
        if self.model.architecture is not None:
            raise ValueError(
                f"factorization=auto measures the table of a pretrained model, and model {self.model.label} has random "
                "weights; name a method, or set model.name_or_path"
            )
        if self.storage != "float32":
            raise ValueError(
                f"factorization=auto chooses the storage too (found storage={self.storage}); leave storage out"
            )
        return self

    @model_validator(mode="after")
    def _options_fit_together(self) -> RunConfig:
        if self.factorization.uses_rank:
            target = SizeTarget(self.rank, self.budget, self.energy, self.budget_unit)
            if target.energy is not None and not self.factorization.knows_energy:
                name = self.factorization.name
                raise ValueError(f"factorization={name} cannot be sized by energy; set rank or budget")
        if self.evidence.source != TRAINING and self.factorization.needs - {"token_counts"}:
            raise ValueError(
                f"factorization={self.factorization.name} needs gradients, and therefore labelled rows: it cannot use "
                f"evidence.source={self.evidence.source}; set evidence.source={TRAINING}"
            )
        if self.quantization == "aware" and self.storage == "float32":
            raise ValueError("quantization=aware needs storage=int8, int6, int4, int3, int2 or float16")
        self._check_what_is_trained()
        data = self.data
        if data.train_split in data.report_splits:
            raise ValueError(f"data.report_splits includes the training split ({data.train_split}); leave it out")
        if data.source == "files" and data.train_file == data.validation_file:
            raise ValueError(f"data.validation_file is the training file ({data.train_file}); give another")
        if self.checkpoint == "best" and data.selection_size == 0:
            raise ValueError("checkpoint=best needs a held-out slice; set data.selection_size above 0")
        if self.trainer.patience and self.data.selection_size == 0:
            raise ValueError("trainer.patience needs a held-out slice; set data.selection_size above 0")
        return self

    def _check_what_is_trained(self) -> None:
        method, refactorize = self.factorization, self.refactorize
        if self.trainer.factor_epochs:
            self._check_factor_epochs()
        if self.task.distill is not None and self.task.distill_weight == 0 and not self.imitates_table:
            raise ValueError(
                f"factorization={method.name} with trainable={self.trainable} can learn only logits from "
                "task.distill (found task.distill_weight=0); set task.distill_weight above 0"
            )
        if self.trainable == "projection" and not method.has_projection:
            raise ValueError(
                f"factorization={method.name} has no projection to the width of the encoder to train alone; "
                "use trainable=factors or trainable=all"
            )
        if refactorize.every == "never":
            return
        if not method.refactorizable:
            remedy = "leave it out (a sweep adds the dense run by itself)" if method.name == "none" else "use svd"
            raise ValueError(
                f"{refactorize.choice} projects the table on its axes repeatedly, which factorization="
                f"{method.name} cannot; {remedy}, or set refactorize=never"
            )
        if self.trainable not in ("all", "factors"):
            raise ValueError(
                f"{refactorize.choice} trains the dense table first, which trainable={self.trainable} would freeze; "
                "use trainable=all or trainable=factors"
            )

    def _check_factor_epochs(self) -> None:
        found = f"trainer.factor_epochs={self.trainer.factor_epochs}"
        if isinstance(self.factorization, Dense):
            raise ValueError(
                f"{found} trains what replaced the table, which factorization=none leaves as it is; leave it out (a "
                "sweep adds the dense run by itself)"
            )
        if self.trainable != "all":
            raise ValueError(f"{found} needs a training that ends with all weights; use trainable=all")
        if self.refactorize.every != "never":
            raise ValueError(
                f"{found} needs factors from the start, and {self.refactorize.choice} trains the dense table first; "
                "use refactorize=never"
            )

    def dense(self) -> RunConfig:
        """The run of the whole table, stored in float32 and trained on the labels alone, to compare this one with."""
        changes: dict[str, Any] = {"factorization": Dense(), "storage": "float32", "quantization": "post_training"}
        changes["refactorize"] = self.refactorize.model_copy(update={"every": "never", "steps": None})
        changes["optimizer"] = self.optimizer.model_copy(update={"embedding_lr": 1.0})
        changes["trainer"] = self.trainer.model_copy(update={"factor_epochs": 0})
        changes["task"] = self.task.model_copy(update={"distill": None})
        if self.trainable == "projection":  # a whole table has none
            changes["trainable"] = "all"
        return self.model_copy(update=changes)

    def with_method(self, method: Method, storage: StorageFormat, budget: float | None) -> RunConfig:
        """The run with another method, storage and budget."""
        size = {"rank": None, "energy": None, "budget": budget, "budget_unit": "bytes"}
        return self.model_copy(update={"factorization": method, "storage": storage, **size})

    @property
    def trains_replacement(self) -> bool:
        """Whether any weight that replaced the table is trained, so that ``optimizer.embedding_lr`` has an effect."""
        # A method that rebuilds the whole embedding block replaces more than the token embedding.
        frozen = self.trainable == "backbone" and isinstance(self.factorization, Factorization)
        return not frozen and not isinstance(self.factorization, Dense | TokenizerMethod)

    @property
    def imitates_table(self) -> bool:
        """Whether the output of the embedding is compared with that of the table of the distilled run."""
        # A method that rebuilds the whole embedding block looks tokens up in a table of another width.
        able = isinstance(self.factorization, Factorization) and self.trainable != "backbone"
        return able and self.task.distill is not None and self.task.distill_embedding > 0

    @property
    def target(self) -> SizeTarget | None:
        """How large the embedding should be; None for a method without a size."""
        chosen_later = isinstance(self.factorization, Auto) and self.factorization.tolerance is not None
        if chosen_later or not self.factorization.uses_rank:
            return None
        return SizeTarget(self.rank, self.budget, self.energy, self.budget_unit)

    @property
    def size(self) -> str | None:
        """The size in run names: ``r64``, ``b0.1-int8-g64``, or None for a method without one."""
        words = [str(self.target)] if self.target else []
        return "-".join([*words, *([str(self.kept)] if self.kept != FLOAT32 else [])]) or None

    @property
    def kept(self) -> Storage:
        """How the embedding is stored; groups have no effect unless it is quantized."""
        return Storage(self.storage, self.storage_group)

    def plain(self) -> dict[str, Any]:
        """The whole configuration as JSON values, from which `parse` makes an equal one."""
        values = self.model_dump(mode="json")
        method = type(self.factorization)
        values["factorization"] = {"_target_": f"{method.__module__}.{method.__qualname__}", **values["factorization"]}
        return values

    @classmethod
    def parse(cls, values: dict[str, Any]) -> RunConfig:
        """The typed configuration of plain values.

        Args:
            values: The resolved Hydra configuration as plain containers.

        Raises:
            ConfigError: With every error found.
        """
        errors: list[ErrorDetail] = []
        options = values.get("factorization")
        if isinstance(options, dict):
            # Without a method pydantic would also complain that there is none.
            values = {key: value for key, value in values.items() if key != "factorization"}
            try:
                values["factorization"] = build_method(options)
            except ConfigError as error:
                errors += error.errors
            except ValidationError as error:
                errors += errors_of(error, method_class(options["_target_"]), "factorization.")
        unknown = bool(errors)
        try:
            config = cls.model_validate(values)
        except ValidationError as error:
            found = errors_of(error, cls)
            errors += [detail for detail in found if not (unknown and detail.what.startswith("factorization"))]
        if errors:
            raise ConfigError(errors)
        return config
