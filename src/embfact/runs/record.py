"""The record of one run: everything a table, a statistic or a dashboard needs, in one small JSON document.

Tables are made from records alone, never from logs. Light to import: no torch.
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
PREDICTIONS = "predictions.parquet"  # beside the record: the predictions for every example


def _undefined_as_none(value: Any) -> Any:
    # JSON has no NaN; readers other than Python's reject it.
    return None if isinstance(value, float) and not math.isfinite(value) else value


Measured = Annotated[float | None, BeforeValidator(_undefined_as_none)]
MeasuredOrCount = Annotated[int | float | None, BeforeValidator(_undefined_as_none)]


class RecordSection(BaseModel):
    """A part of the record: rejects unknown keys, NaN and infinity; accepts any object with its fields."""

    # "constants" passes infinity in free-form parts on to json, which rejects it; pydantic would write null.
    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, from_attributes=True, ser_json_inf_nan="constants"
    )


class DataPart(RecordSection):
    """What the run was trained and scored on."""

    name: str
    origin: str = Field("", description="where the rows came from")
    fingerprint: str | None = Field(None, description="hash of the data; null if the run failed before it was known")
    rows: dict[str, int] = Field({}, description="rows of train, of selection and of each reported split")
    metrics: list[str] = []
    target: Literal["class", "float"] = "class"
    note: str | None = Field(None, description="caveats of this data set for readers of the results")


class ModelPart(RecordSection):
    """The backbone."""

    name: str
    fingerprint: str | None = None


class MethodPart(RecordSection):
    """The factorization."""

    name: str
    rank: int | None = Field(None, description="its size; null for a method without one, or if a run failed first")
    size: str | None = Field(None, description="the requested size: r64, b0.1 (budget), e0.9 (energy)")
    size_name: str = Field("rank", description="what its size counts, e.g. kept rows")
    caveat: str | None = Field(None, description="how its setting differs from that of the paper of its name")
    storage: StorageFormat = "float32"
    storage_group: StorageGroup | None = Field(
        None, description="numbers that share a scale; null if not quantized, or quantized before groups existed"
    )
    quantization: Literal["post_training", "aware"] | None = Field(
        None, description="whether training imitated the storage; null for float32, which is not quantized"
    )


class Amount(RecordSection):
    """Parameters, and the bytes of their tensors in the saved file."""

    parameters: int
    bytes: int
    zstd_bytes: int | None = Field(
        None, description="after compression by zstd; null for dense, and if a run diverged or is older than this field"
    )
    memory_bytes: int | None = Field(
        None, description="of all tensors in memory after scoring, what was decoded included; null as above"
    )


class Sizes(RecordSection):
    """Size of the token embedding and of the whole model."""

    embedding: Amount
    model: Amount


class SizePart(Sizes):
    """The sizes as saved, and those of the dense model."""

    dense: Sizes


class SelectionPart(RecordSection):
    """Results on the held-out slice of the training rows; never reported figures."""

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
    """Rows per batch in the first epoch."""

    fewest: int
    mean: float
    most: int


class TrainingPart(RecordSection):
    """How long the run trained, and on what hardware."""

    steps: int
    epochs: float
    threads: int | None = None
    device: str
    devices: int = Field(1, description="processes that shared every batch")
    precision: str
    batch_rows: BatchRows | None = Field(None, description="rows per batch, which vary in batches of equal tokens")
    shared_with: str | None = Field(
        None, description="name of the run in float32 that has trained the weights, and shares their seconds"
    )
    refactorize: list[ProjectionPart] | None = Field(
        None, description="projections of a table that was trained dense; after the last one, its factors were trained"
    )


class Seconds(RecordSection):
    """Wall time of each phase in seconds; 0 for a phase that was not reached."""

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
    message: str = Field(description="self-contained: tables print it")


class RunFacts(RecordSection):
    """What is known about a run before it starts, whether it finishes or fails."""

    schema_version: Literal[1] = SCHEMA_VERSION
    name: str
    hash: str = Field(pattern=r"^[0-9a-f]{64}$", description="identity of the run: equal hashes, equal results")
    experiment: str
    tags: list[str] = []
    started: AwareDatetime
    config: dict[str, Any] = Field(description="the whole resolved configuration")
    science: dict[str, Any] = Field(description="the values that are hashed; runs that differ only in seed repeat")
    seed: int
    data: DataPart
    model: ModelPart
    method: MethodPart
    teacher: str | None = Field(None, description="name of the dense run that it was distilled from")
    versions: dict[str, str] = {}
    git: GitPart | None = None

    def ended(self, status: Literal["finished", "failed", "diverged"], **fields: Any) -> RunRecord:
        """The record of the run once it has ended; `fields` adds those of `RunRecord` and may replace facts."""
        return RunRecord(**{**dict(self), **fields}, status=status)


class RunRecord(RunFacts):
    """The record of one run, as stored in `record.json`."""

    status: Literal["finished", "failed", "diverged"]
    size: SizePart | None = Field(None, description="a diverged run has what it would have saved; a failed one none")
    metrics: dict[str, dict[str, Measured]] = Field({}, description="split -> metric -> value; null is undefined")
    baselines: dict[str, dict[str, dict[str, Measured]]] = Field(
        {}, description="split -> majority or bag_of_tokens -> metric -> value: what a model has to beat"
    )
    selection: SelectionPart | None = None
    training: TrainingPart | None = None
    seconds: Seconds = Seconds()
    peak_memory_bytes: int | None = None
    attempts: int = Field(1, description="how often it was started; seconds count only the work that was kept")
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
    """Write `record.json` atomically; the run directory is created if necessary.

    Returns:
        The path of the file.

    Raises:
        ValueError: If the configuration contains a number that JSON cannot represent (NaN, infinity).
    """
    text = json.dumps(record.model_dump(mode="json"), indent=2, allow_nan=False, ensure_ascii=False)
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / FILE_NAME
    write_text(path, text + "\n")
    return path


def is_finished(directory: Path, digest: str) -> bool:
    """Whether a directory holds the intact record of a finished run with this hash."""
    try:
        record = read(directory)
    except ModelError:
        return False
    return record.status == "finished" and record.hash == digest


def read(directory: Path) -> RunRecord:
    """Read the record of a run directory.

    Raises:
        ModelError: If the record is missing, truncated, of another schema version or invalid.
    """
    path = directory / FILE_NAME
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise ModelError(f"{directory} has no {FILE_NAME}; give the directory of a finished run") from None
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror}); check its permissions") from None
    return parse(content, str(path), "delete the run directory and train the run again")


def parse(content: bytes, path: str, remedy: str) -> RunRecord:
    """Parse the content of a record file; `path` and `remedy` are for error messages.

    Raises:
        ModelError: If it is truncated, of another schema version or invalid.
    """
    try:
        values = json.loads(content)
    except ValueError as error:
        raise ModelError(f"{path} is truncated or not JSON ({error}); {remedy}") from None
    version = values.get("schema_version") if isinstance(values, dict) else None
    if version != SCHEMA_VERSION:
        raise ModelError(
            f"{path} has schema_version {version}, but this version of embfact reads {SCHEMA_VERSION}; "
            "use the version that wrote it, or train the run again"
        )
    try:
        return RunRecord.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the record"
        raise ModelError(f"{path} is not a valid record ({where}: {first['msg']}); {remedy}") from None
