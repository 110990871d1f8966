"""Tables of published papers, in whose columns and order our figures can stand.

Light to import: the standard library only. A layout says where a figure stands, not that it is comparable: the papers
pre-train a model with a small table, ours factorize the table of a trained one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Task:
    """A column: a metric on a data set, by the name that the paper gives it.

    Attributes:
        dataset: As in `conf/data`; a task that embfact has no data set for stays a column of dashes.
        split: Needed only where a data set reports several.
    """

    heading: str
    dataset: str
    metric: str = "accuracy"
    split: str = ""


@dataclass(frozen=True)
class Layout:
    """The form of a published table.

    Attributes:
        source: The table that it follows, for the note below ours.
        columns: From the left: fields of `SIZE_FIELDS`, tasks, and ``mean``: over all of the tasks, each data set once.
        headings: Field -> what the paper calls it.
        rows: Fields that make the lines.
    """

    source: str
    columns: tuple[str | Task, ...]
    headings: Mapping[str, str] = field(default_factory=dict)
    rows: tuple[str, ...] = ("method", "rank")


_MNLI = (
    Task("MNLI-m", "mnli", split="validation_matched"),
    Task("MNLI-mm", "mnli", split="validation_mismatched"),
)
_QNLI, _SST, _RTE, _WNLI = Task("QNLI", "qnli"), Task("SST-2", "sst2"), Task("RTE", "rte"), Task("WNLI", "wnli")
_COLA, _STS = Task("CoLA", "cola", "matthews"), Task("STS-B", "stsb", "spearman")
_QQP, _MRPC = Task("QQP", "qqp", "f1"), Task("MRPC", "mrpc", "f1")

LAYOUTS: dict[str, Layout] = {
    "albert_table3": Layout(
        "Lan et al. (2020), ALBERT, Table 3, whose models were pre-trained with an embedding of size E",
        (
            "model_params",
            Task("SQuAD1.1", "squad", "f1"),
            Task("SQuAD2.0", "squad_v2", "f1"),
            _MNLI[0],
            _SST,
            Task("RACE", "race"),
            "mean",
        ),
        {"method": "Method", "rank": "E", "model_params": "Parameters", "mean": "Avg"},
    ),
    "bert_table1": Layout(
        "Devlin et al. (2019), BERT, Table 1, whose figures are GLUE's test scores",
        (*_MNLI, _QQP, _QNLI, _SST, _COLA, _STS, _MRPC, _RTE, "mean"),
        {"method": "System", "rank": "r", "mean": "Average"},
    ),
    "distilbert_table1": Layout(
        "Sanh et al. (2019), DistilBERT, Table 1, whose figures are of GLUE's development sets",
        ("mean", _COLA, _MNLI[0], Task("MRPC", "mrpc"), _QNLI, Task("QQP", "qqp"), _RTE, _SST, _STS, _WNLI),
        {"method": "Model", "rank": "r", "mean": "Score"},
    ),
    "kroneckerbert_table": Layout(
        "Tahaei et al. (2022), KroneckerBERT, whose figures are GLUE's test scores",
        ("model_params", *_MNLI, _SST, _MRPC, _COLA, _QQP, _QNLI, _RTE, _STS, "mean"),
        {"method": "Model", "rank": "r", "model_params": "Params", "mean": "Avg"},
    ),
}
