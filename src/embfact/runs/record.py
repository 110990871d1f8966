"""The record of one run: everything a table, a statistic or a dashboard needs, in one small JSON document.

Light to import: no torch. Tables are made from records alone, never from logs.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from embfact.embeddings.layout import StorageFormat, StorageGroup
from embfact.errors import ModelError
from embfact.system.atomic import write_text

SCHEMA_VERSION: Literal[1] = 1
FILE_NAME = "record.json"
PREDICTIONS = "predictions.parquet"  # what the model said of every example, beside the record


def _undefined_as_none(value: Any) -> Any:
    # JSON knows no NaN, and readers other than Python's refuse a file that holds one.
    return None if isinstance(value, float) and not math.isfinite(value) else value


Measured = Annotated[float | None, BeforeValidator(_undefined_as_none)]
MeasuredOrCount = Annotated[int | float | None, BeforeValidator(_undefined_as_none)]


class RecordSection(BaseModel):
    """A part of the record: unknown keys, NaN and infinity are refused; any object with the fields is taken."""

    # "constants" hands infinity of the free-form parts on to json, which refuses it; pydantic would write null.
    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, from_attributes=True, ser_json_inf_nan="constants"
    )


class DataPart(RecordSection):
    """What the run was trained and scored on."""

    name: str
    origin: str = Field("", description="where the rows came from, in words")
    fingerprint: str | None = Field(None, description="hash of the data; null if the run failed before it was known")
    rows: dict[str, int] = Field({}, description="rows of train, of selection and of each reported split")
    metrics: list[str] = []
    target: Literal["class", "float"] = "class"
    note: str | None = Field(None, description="what a reader of the results must know about this data set")


class ModelPart(RecordSection):
    """The backbone."""

    name: str
    fingerprint: str | None = None


class MethodPart(RecordSection):
    """The factorization."""

    name: str
    rank: int | None = Field(None, description="its size; null for a method without one, or a failed run of a budget")
    size: str | None = Field(None, description="the size that was asked for: r64, b0.1 (budget), e0.9 (energy)")
    size_name: str = Field("rank", description="what its size counts, e.g. kept rows")
    storage: StorageFormat = "float32"
    storage_group: StorageGroup | None = Field(
        None, description="numbers that share a scale; null where it is not quantized, or was before there were groups"
    )
    quantization: Literal["post_training", "aware"] | None = Field(
        None, description="whether training imitated the storage; null for float32, which needs no quantization"
    )


class Amount(RecordSection):
    """Parameters, and the bytes of their tensors in the saved file."""

    parameters: int
    bytes: int


class Sizes(RecordSection):
    """Size of the token embedding and of the whole model."""

    embedding: Amount
    model: Amount


class SizePart(Sizes):
    """The sizes as saved, and those of the dense model they are compared with."""

    dense: Sizes


class SelectionPart(RecordSection):
    """What happened on the held-out slice of the training rows: never a reported figure."""

    rows: int
    metric: str
    best_epoch: int | None = None
    value: Measured = None
    history: list[dict[str, MeasuredOrCount]] = Field([], description="one entry an epoch: epoch and metrics")


class ProjectionPart(RecordSection):
    """One projection of a table that was trained dense."""

    step: int
    rank: int


class BatchRows(RecordSection):
    """Rows of the batches of the first epoch."""

    fewest: int
    mean: float
    most: int


class TrainingPart(RecordSection):
    """How long and on what the run trained."""

    steps: int
    epochs: float
    threads: int | None = None
    device: str
    devices: int = Field(1, description="processes that shared every batch")
    precision: str
    batch_rows: BatchRows | None = Field(None, description="rows of a batch; batches of equal tokens differ in them")
    refactorize: list[ProjectionPart] | None = Field(
        None, description="projections of a table that was trained dense; from the last one on its factors were trained"
    )


class Seconds(RecordSection):
    """Wall time of each phase in seconds; 0 for one that was not reached."""

    data: float = 0.0
    evidence: float = 0.0
    factorization: float = 0.0
    training: float = 0.0
    evaluation: float = 0.0
    total: float = 0.0


class GitPart(RecordSection):
    """The state of the code."""

    commit: str
    dirty: bool


class ErrorPart(RecordSection):
    """Why a run failed."""

    type: str
    message: str = Field(description="readable by itself: what a table says of the run")


class RunFacts(RecordSection):
    """What a record says of a run before anything is done: the same for one that finishes and one that fails."""

    schema_version: Literal[1] = SCHEMA_VERSION
    name: str
    hash: str = Field(pattern=r"^[0-9a-f]{64}$", description="identity of the run: equal hashes, equal results")
    experiment: str
    tags: list[str] = []
    started: AwareDatetime
    config: dict[str, Any] = Field(description="the whole resolved configuration")
    science: dict[str, Any] = Field(description="what the hash is taken over: runs equal in it but for the seed repeat")
    seed: int
    data: DataPart
    model: ModelPart
    method: MethodPart
    versions: dict[str, str] = {}
    git: GitPart | None = None

    def ended(self, status: Literal["finished", "failed", "diverged"], **fields: Any) -> RunRecord:
        """The record of the run, once it has ended.

        Args:
            status: How.
            fields: The other fields of `RunRecord`; one that is a field of these facts takes its place.
        """
        return RunRecord(**{**dict(self), **fields}, status=status)


class RunRecord(RunFacts):
    """The record of one run; field by field what `record.json` holds."""

    status: Literal["finished", "failed", "diverged"]
    size: SizePart | None = None
    metrics: dict[str, dict[str, Measured]] = Field({}, description="split -> metric -> value; null is undefined")
    baselines: dict[str, dict[str, dict[str, Measured]]] = Field(
        {}, description="split -> majority or bag_of_tokens -> metric -> value: what a model has to beat"
    )
    selection: SelectionPart | None = None
    training: TrainingPart | None = None
    seconds: Seconds = Seconds()
    peak_memory_bytes: int | None = None
    attempts: int = Field(1, description="how often it was started; seconds are those of the work that counts")
    error: ErrorPart | None = None

    @model_validator(mode="after")
    def _status_fits_content(self) -> RunRecord:
        if self.status != "finished" and self.error is None:
            raise ValueError(f"a {self.status} run needs its error")
        if self.status == "finished":
            if self.error is not None:
                raise ValueError("a finished run has no error")
            needed = {
                "data.fingerprint": self.data.fingerprint,
                "data.rows": self.data.rows,
                "size": self.size,
                "metrics": self.metrics,
                "training": self.training,
            }
            missing = [name for name, value in needed.items() if not value]
            if missing:
                raise ValueError(f"a finished run needs {', '.join(missing)}")
        return self


def write(record: RunRecord, directory: Path) -> Path:
    """Write `record.json` in one step: it is whole, or it is not there.

    Args:
        record: The record.
        directory: The run directory; made if it is not there.

    Returns:
        The path of the file.

    Raises:
        ValueError: If the configuration holds a number that JSON cannot (NaN, infinity).
    """
    text = json.dumps(record.model_dump(mode="json"), indent=2, allow_nan=False, ensure_ascii=False)
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / FILE_NAME
    write_text(path, text + "\n")
    return path


def is_finished(directory: Path, digest: str) -> bool:
    """Whether a directory holds the whole record of a finished run of this hash; half a record is none."""
    try:
        record = read(directory)
    except ModelError:
        return False
    return record.status == "finished" and record.hash == digest


def read(directory: Path) -> RunRecord:
    """The record of a run directory.

    Args:
        directory: The run directory, which holds `record.json`.

    Raises:
        ModelError: In words, if the record is missing, cut off, of another schema version or not as it should be.
    """
    path = directory / FILE_NAME
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise ModelError(f"{directory} holds no {FILE_NAME}; give the directory of a finished run") from None
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror}); mend its permissions") from None
    return parse(content, str(path), "delete the run directory and train the run again")


def parse(content: bytes, path: str, again: str) -> RunRecord:
    """The record that a file holds.

    Args:
        content: What is in the file.
        path: Where it is, for messages.
        again: What to do where it is not whole.

    Raises:
        ModelError: In words, if it is cut off, of another schema version or not as it should be.
    """
    try:
        values = json.loads(content)
    except ValueError as error:
        raise ModelError(f"{path} is cut off or is not JSON ({error}); {again}") from None
    version = values.get("schema_version") if isinstance(values, dict) else None
    if version != SCHEMA_VERSION:
        raise ModelError(
            f"{path} has schema_version {version}, this embfact reads {SCHEMA_VERSION}; "
            "use the version of embfact that wrote it, or train the run again"
        )
    try:
        return RunRecord.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the record"
        raise ModelError(f"{path} is not a whole record ({where}: {first['msg']}); {again}") from None
