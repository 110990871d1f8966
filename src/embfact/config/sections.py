"""The sections of the configuration: what each option may be and what it means.

Light to import: no torch, no Hydra. `conf/` holds the values.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from pathlib import Path, PurePath
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

TRAINING = "training"
TRAIN_ALL = "train_all"
CHECKPOINT = "checkpoint"  # folder of the weights in a run directory
CACHE_DIR = "~/.cache/embfact"
TABLE_FILES = (".csv", ".tsv", ".jsonl", ".parquet")
CORPUS_FILES = (".txt", *TABLE_FILES)
Whole = Annotated[int, Field(ge=1)]
Decay = Annotated[float, Field(ge=0, lt=1)]
Trainable = Literal["all", "factors", "projection", "backbone"]
Pooling = Literal["cls", "mean", "max", "weighted", "attention", "last"]


def expand_home(path: str) -> str:
    """A path with ``~`` replaced by the home directory.

    Raises:
        ValueError: If there is no such user.
    """
    try:
        return str(Path(path).expanduser())
    except RuntimeError:
        raise ValueError("must be a path, and there is no user with the name after ~") from None


UserPath = Annotated[str, Field(min_length=1), AfterValidator(expand_home)]


class Section(BaseModel):
    """A part of the configuration: unknown keys are refused, and values do not change after validation."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, protected_namespaces=(), allow_inf_nan=False, coerce_numbers_to_str=True
    )

    @field_validator("*", mode="before")
    @classmethod
    def _a_switch_is_not_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        # pydantic accepts true as 1.
        if isinstance(value, bool) and cls.model_fields[str(info.field_name)].annotation is not bool:
            raise ValueError("must not be true or false")
        return value


class ModelConfig(Section):
    """The backbone: pretrained from a package, a hub or a directory, or built from a configuration."""

    name: str | None = Field(None, max_length=60, description="name in run names and tables; null: from name_or_path")
    name_or_path: str | None = Field(None, description="packaged:NAME, a hub id, or a local directory")
    revision: str | None = Field(None, description="commit of the hub model; null takes the newest and records it")
    architecture: dict[str, Any] | None = Field(None, description="transformers config of a model with random weights")
    tokenizer: str | None = Field(None, description="tokenizer to use; null: the backbone's own")
    static: bool = Field(False, description="use only its token table, without the layers")
    lr: float | None = Field(None, gt=0, description="learning rate that suits it; optimizer.lr is this by default")
    from_run: UserPath | None = Field(None, description="directory of a finished dense run to start from; null: none")

    @model_validator(mode="after")
    def _one_origin(self) -> ModelConfig:
        if (self.name_or_path is None) == (self.architecture is None):
            raise ValueError("set exactly one of model.name_or_path and model.architecture")
        if self.architecture is not None and not (self.name and self.tokenizer and "model_type" in self.architecture):
            raise ValueError("model.architecture needs model.name, model.tokenizer and architecture.model_type")
        return self

    @property
    def label(self) -> str:
        """The name of the backbone in run names and tables, e.g. ``minilm`` or ``bert-base-uncased``."""
        origin = self.name or str(self.name_or_path).removeprefix("packaged:").rstrip("/").rsplit("/", 1)[-1]
        return slug(origin if self.name or not self.static else f"{origin}-static")


class TaskConfig(Section):
    """What the model learns to do with a text."""

    name: Literal["sequence_classification"] = Field(description="the kind of task")
    dropout: float | None = Field(None, ge=0, lt=1, description="dropout of the whole model; null: the backbone's own")
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="share of the target spread over all classes")
    pooling: Pooling | None = Field(None, description="how tokens become one vector; null: the backbone's own head")
    distill: UserPath | None = Field(
        None, description="finished dense run to learn from, or a sweep with one of the same seed; null: none"
    )
    distill_weight: float = Field(
        0.5, ge=0, le=1, description="share of the loss that is the distance from its logits, in place of the labels"
    )
    distill_temperature: float = Field(2.0, gt=0, description="what both logits are divided by for that distance")
    distill_embedding: float = Field(
        1.0, ge=0, description="weight of the squared distance from the output of its token table"
    )

    @model_validator(mode="after")
    def _something_is_learned(self) -> TaskConfig:
        if self.distill is not None and self.distill_weight == self.distill_embedding == 0:
            raise ValueError(
                "task.distill has no effect with task.distill_weight=0 and task.distill_embedding=0; raise one of them"
            )
        return self


class TrainerConfig(Section):
    """How long to train, and on what hardware."""

    epochs: Whole = Field(description="passes over the training rows")
    factor_epochs: int = Field(
        0, ge=0, description="first of these epochs, which train only what replaced the table, and the head"
    )
    max_steps: Whole | None = Field(None, description="stop after this many optimizer steps")
    batch_size: Whole = Field(description="rows of one step over all devices, before accumulation")
    batching: Literal["tokens", "rows"] = Field(
        "rows", description="batches of the same number of rows, or of tokens with batch_size rows on average"
    )
    eval_batch_size: Whole = Field(description="rows scored at once")
    accumulate: Whole = Field(1, description="batches summed into one optimizer step")
    gradient_clip: float | None = Field(1.0, gt=0, description="largest gradient norm; null: no clipping")
    patience: Whole | None = Field(None, description="stop after this many epochs without a better held-out metric")
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = Field(description="number format")
    accelerator: Literal["auto", "cpu", "gpu", "mps", "tpu"] = Field(description="device to train on")
    compile: bool = Field(False, description="torch.compile the model")
    kernels: Literal["auto", "plain"] = Field("auto", description="cheaper ones with the same results, or torch's own")
    attention: Literal["auto", "eager", "sdpa", "flash_attention_2"] = Field(
        "auto", description="implementation of transformers; auto: the model's own"
    )
    threads: Whole | None = Field(None, description="CPU threads; null: as many as cores")
    devices: Whole = Field(1, description="processes of one training, each with a part of every batch (DDP)")
    strategy: Literal["auto", "ddp", "ddp_find_unused_parameters_true"] = Field(
        "auto", description="how several devices train together"
    )

    @model_validator(mode="after")
    def _the_rest_thaws(self) -> TrainerConfig:
        if self.factor_epochs >= self.epochs:
            raise ValueError(
                f"trainer.factor_epochs={self.factor_epochs} leaves none of trainer.epochs={self.epochs} to train the "
                "rest; use fewer, or trainable=factors to train nothing else"
            )
        return self

    @model_validator(mode="after")
    def _flash_attention_has_what_it_needs(self) -> TrainerConfig:
        if self.attention == "flash_attention_2" and (self.precision == "32-true" or self.accelerator == "cpu"):
            found = f"found trainer.precision={self.precision} and trainer.accelerator={self.accelerator}"
            raise ValueError(f"trainer.attention=flash_attention_2 needs 16 bits on a GPU ({found}); use trainer=gpu")
        return self


class OptimizerConfig(Section):
    """AdamW with warm-up and linear decay."""

    name: Literal["adamw"] = Field(description="the optimizer")
    lr: float = Field(gt=0, description="highest learning rate")
    embedding_lr: float = Field(1.0, gt=0, description="factor on lr for the weights that replaced the table")
    weight_decay: float = Field(ge=0, description="decay of weights, except biases and norms")
    betas: tuple[Decay, Decay] = Field((0.9, 0.999), description="decay of the first and second moments")
    eps: float = Field(1e-8, gt=0, description="added to the denominator")
    warmup_ratio: float = Field(ge=0, lt=1, description="share of the steps in which the rate rises to lr")


class EvidenceConfig(Section):
    """What a data-aware factorization may look at."""

    source: str = Field(
        TRAINING, description="training: the run's rows; train_all: all texts of its training split; or a file"
    )
    rows: Whole = Field(description="training rows whose gradients are taken, for methods that need gradients")
    warmup_steps: int = Field(ge=0, description="training steps of the head before gradients are taken")

    @field_validator("source")
    @classmethod
    def _source_is_known(cls, value: str) -> str:
        if value not in (TRAINING, TRAIN_ALL) and not ends_in(value, CORPUS_FILES):
            raise ValueError(f"must be {TRAINING}, {TRAIN_ALL}, or a file that ends in {', '.join(CORPUS_FILES)}")
        return expand_home(value)

    @property
    def file(self) -> str | None:
        """The file of texts to count; None for texts of the training split."""
        return None if self.source in (TRAINING, TRAIN_ALL) else self.source


class RefactorizeConfig(Section):
    """Training that starts dense and is projected to ever smaller ranks, until only the factors are trained."""

    every: Literal["never", "epoch", "steps"] = Field(description="when the table is projected")
    steps: Whole | None = Field(None, description="optimizer steps between two projections, for every=steps")
    until: float = Field(gt=0, le=1, description="share of the training after which only the factors are left")

    @model_validator(mode="after")
    def _steps_are_given(self) -> RefactorizeConfig:
        if (self.every == "steps") != (self.steps is not None):
            raise ValueError("refactorize=every_n_steps needs refactorize.steps=NUMBER, and the others take none")
        return self

    @property
    def choice(self) -> str:
        """What the user typed: ``refactorize=every_epoch``."""
        names = {"never": "never", "epoch": "every_epoch", "steps": "every_n_steps"}
        return f"refactorize={names[self.every]}"


class LoggerConfig(Section):
    """Where metrics go besides the local record."""

    service: Literal["wandb", "trackio"] = Field(
        "wandb", description="Weights & Biases, or the local dashboard trackio"
    )
    mode: Literal["offline", "online", "none"] = Field(description="mode of W&B; none logs nowhere")
    project: str = Field("embfact", min_length=1, description="project of the service")
    entity: str | None = Field(None, description="W&B user or team; null: the default of the key")

    @property
    def used(self) -> Literal["wandb", "trackio"] | None:
        """The service that gets the runs; None if none does."""
        return None if self.mode == "none" else self.service

    @field_validator("mode", mode="before")
    @classmethod
    def _values_of_wandb_are_accepted(cls, value: Any) -> Any:
        # The values of WANDB_MODE; an empty variable counts as not set.
        mode = {"": "offline", "dryrun": "offline", "run": "online", "disabled": "none"}.get(value, value)
        if mode not in ("offline", "online", "none"):
            raise ValueError("must be offline, online or none (WANDB_MODE: offline, online or disabled)")
        return mode

    @model_validator(mode="after")
    def _only_wandb_is_online(self) -> LoggerConfig:
        if self.service == "trackio" and (self.mode == "online" or self.entity is not None):
            raise ValueError(
                "trackio has neither logger.mode=online nor logger.entity; leave them out, or logger=wandb"
            )
        return self


class PathsConfig(Section):
    """Folders outside the project."""

    data_dir: UserPath | None = Field(None, description="local mirror of data sets (EMBFACT_DATA_DIR)")
    cache_dir: UserPath = Field(description="tokenised data, shared by all runs (EMBFACT_CACHE_DIR)")

    @field_validator("data_dir", "cache_dir", mode="before")
    @classmethod
    def _empty_is_not_set(cls, value: Any, info: ValidationInfo) -> Any:
        # As in a shell: EMBFACT_CACHE_DIR= must not scatter caches over the working directories of commands.
        return {"data_dir": None, "cache_dir": CACHE_DIR}[str(info.field_name)] if value == "" else value


def ends_in(file: str | None, endings: tuple[str, ...]) -> bool:
    """Whether a file name has one of these endings, in capitals or not; a missing name has none."""
    return PurePath(file or "").suffix.lower() in endings


def slug(text: str) -> str:
    """Lower-case letters, digits, dots and hyphens only: safe in directory names on every system, and never empty.

    If letters of another script are lost, or nothing is left, a hash of the text is added.
    """
    words = re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-.")
    if words and text.isascii():
        return words
    digest = hashlib.sha256(unicodedata.normalize("NFC", text).encode()).hexdigest()[:8]
    return f"{words}-{digest}" if words else digest
