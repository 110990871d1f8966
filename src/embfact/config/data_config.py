"""The section ``data``: where the rows come from, what is read of them, and what is reported.

Light to import: no torch, no Hydra. `conf/data/` holds the values.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import Field, field_validator, model_validator

from embfact.config.sections import TABLE_FILES, Section, UserPath, Whole, ends_in

MetricName = Literal["accuracy", "f1", "matthews", "pearson", "spearman"]
CORRELATIONS = {"pearson", "spearman"}
TargetKind = Literal["class", "float"]
Collection = Literal["movies", "tweets", "products", "editorials"]


class DataConfig(Section):
    """Where the rows come from, which columns they have, and how they are split."""

    name: str = Field(min_length=1, max_length=60, description="short name in run names and tables")
    source: Literal["hub", "files", "vader", "rated_sentences"] = Field(description="where the rows come from")
    hub: str | None = Field(None, description="data set id on the Hugging Face hub")
    hub_config: str | None = Field(None, description="configuration of the hub data set, e.g. sst2 of GLUE")
    revision: str | None = Field(None, description="commit of the hub data set; null takes the newest and records it")
    mirror: str | None = Field(None, description="folder of the data set under paths.data_dir, used before the hub")
    train_file: str | None = Field(None, description="CSV, TSV, JSON Lines or Parquet file with the training rows")
    validation_file: str | None = Field(None, description="file with the rows to report on")
    collection: Collection | None = Field(None, description="which of the rated sentences")
    archive: UserPath | None = Field(None, description="your copy of the file with them; null: fetched into the cache")
    text: list[str] = Field(min_length=1, max_length=2, description="one text column, or two for pairs")
    label: str = Field(description="column with the label or the target")
    label_names: list[str] | None = Field(None, description="class names in the order of their codes, from 0")
    target: TargetKind = Field("class", description="class: classification; float: regression")
    metrics: list[MetricName] = Field(min_length=1, description="metrics to report; the first one selects")
    train_split: str = Field("train", description="split to train on")
    report_splits: list[str] = Field(["validation"], min_length=1, description="splits whose metrics are reported")
    selection_size: int | float = Field(description="rows of train (or their share) held out to select on")
    selection_groups: Literal["containing_sentence"] | None = Field(
        None, description="hold out selection_size whole sentences with their phrases; select on the sentences"
    )
    split_seed: int | Literal["seed"] = Field(
        0, description="seed of the held-out slice and of the drawn rows; seed: that of the run, other rows each time"
    )
    drop_reported: bool = Field(False, description="leave out training rows whose text is also in a reported split")
    train_size: Whole | None = Field(None, description="train on this many rows, drawn with split_seed")
    eval_size: Whole | None = Field(None, description="report on this many rows of each split, drawn with split_seed")
    max_length: int = Field(128, ge=4, description="tokens a text (or pair) is cut to")
    shares_text_with: list[str] = Field(
        [], description="data sets with texts of this one: a run on one is not scored on another"
    )
    submission: dict[str, str] | None = Field(None, description="GLUE submission file of each hidden test split")
    note: str | None = Field(None, description="what a reader of the results must know about this data set")

    @field_validator("split_seed", mode="before")
    @classmethod
    def _split_seed_is_a_seed(cls, value: Any) -> Any:
        if value != "seed" and (not isinstance(value, int) or isinstance(value, bool) or value < 0):
            raise ValueError("must be a whole number (0 or more), or seed")
        return value

    def split_seed_of(self, seed: int) -> int:
        """The seed of the held-out slice and of the drawn training rows, in a run with this seed."""
        return seed if self.split_seed == "seed" else self.split_seed

    @property
    def report_seed(self) -> int:
        """The seed of the drawn reported rows, which are the same in every run: tests compare runs on the same rows."""
        return 0 if self.split_seed == "seed" else self.split_seed

    @field_validator("text", mode="before")
    @classmethod
    def _one_text_column(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @field_validator("selection_size")
    @classmethod
    def _selection_size_is_rows_or_share(cls, value: int | float) -> int | float:
        if value < 0 or (isinstance(value, float) and value >= 1):
            raise ValueError("must be a number of rows (0 or more) or a share below 1, e.g. 500 or 0.1")
        return value

    @model_validator(mode="after")
    def _classes_have_different_names(self) -> DataConfig:
        names = self.label_names
        if names is not None and (len(set(names)) < len(names) or (self.target == "class" and len(names) < 2)):
            raise ValueError(f"data.label_names needs two or more different names, found {names}")
        return self

    @model_validator(mode="after")
    def _source_has_its_options(self) -> DataConfig:
        if self.source == "files" and not (self.train_file and self.validation_file):
            raise ValueError("data=files needs data.train_file=FILE and data.validation_file=FILE")
        if self.source == "files":
            given = {self.train_file: "data.train_file", self.validation_file: "data.validation_file"}
            if wrong_files := [f"{name}={file}" for file, name in given.items() if not ends_in(file, TABLE_FILES)]:
                raise ValueError(
                    f"{' and '.join(wrong_files)} does not end in {', '.join(TABLE_FILES)}; "
                    "unpack or convert the file, and give it the extension of its format"
                )
        if self.source == "hub" and not self.hub:
            raise ValueError("a hub data set needs data.hub=OWNER/NAME")
        if self.source == "rated_sentences" and self.collection is None:
            names = ", ".join(get_args(Collection))
            raise ValueError(f"rated sentences need data.collection=NAME, one of: {names}")
        if self.source in ("vader", "rated_sentences") and len(self.text) > 1:
            raise ValueError(f"data={self.name} has single texts, found data.text={self.text}; give one name")
        if wrong := [m for m in self.metrics if (m in CORRELATIONS) != (self.target == "float")]:
            fitting = "pearson, spearman" if self.target == "float" else "accuracy, f1, matthews"
            raise ValueError(f"metrics {wrong} do not fit data.target={self.target}; use {fitting}")
        return self

    def shares_text(self, other: DataConfig) -> bool:
        """Whether another data set has texts of this one, so that a run on one must not be scored on the other."""
        return not (other.aliases.isdisjoint(self.shares_text_with) and self.aliases.isdisjoint(other.shares_text_with))

    @property
    def aliases(self) -> set[str]:
        """The names of this data set: its own, and the one that the hub or a mirror uses."""
        folders = {Path(file).parent.name for file in (self.train_file, self.validation_file) if file}
        return {self.name, *filter(None, (self.hub_config, (self.hub or "").rpartition("/")[2], *folders))}
