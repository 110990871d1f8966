"""Layouts of published tables, for figures in the columns and order of a paper.

Light to import: the standard library only. A layout does not make figures comparable: the papers pre-train a model with
a small table, embfact factorizes the table of a trained model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Task:
    """A column: a metric on a data set, with the heading of the paper.

    Attributes:
        dataset: As in `conf/data`; a task without a data set in embfact is a column of dashes.
        split: Only needed if a data set reports several splits.
    """

    heading: str
    dataset: str
    metric: str = "accuracy"
    split: str = ""


@dataclass(frozen=True)
class Layout:
    """The layout of a published table.

    Attributes:
        source: The published table, cited in a note.
        columns: Fields of `SIZE_FIELDS`, tasks, and ``mean``: over all tasks, each data set counted once.
        headings: Field -> heading in the paper.
        rows: Fields of the lines.
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
        "Lan et al. (2020), ALBERT, Table 3, whose models were pre-trained with embedding size E",
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
        "Sanh et al. (2019), DistilBERT, Table 1, whose figures are on GLUE's development sets",
        ("mean", _COLA, _MNLI[0], Task("MRPC", "mrpc"), _QNLI, Task("QQP", "qqp"), _RTE, _SST, _STS, _WNLI),
        {"method": "Model", "rank": "r", "mean": "Score"},
    ),
    "kroneckerbert_table": Layout(
        "Tahaei et al. (2022), KroneckerBERT, whose figures are GLUE's test scores",
        ("model_params", *_MNLI, _SST, _MRPC, _COLA, _QQP, _QNLI, _RTE, _STS, "mean"),
        {"method": "Model", "rank": "r", "model_params": "Params", "mean": "Avg"},
    ),
}
