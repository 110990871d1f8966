"""GLUE submission files: predictions for test splits whose labels are not public (Wang et al., ICLR 2019)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from embfact.data.text import load_split
from embfact.errors import UserError
from embfact.runs.finished_run import FinishedRun
from embfact.system.atomic import write_text

# GLUE expects class names in these files, and codes, 0 or 1, in those of the other classifications (also WNLI).
BY_NAME = ("MNLI-m.tsv", "MNLI-mm.tsv", "QNLI.tsv", "RTE.tsv")

LARGEST = 5.0  # STS-B similarities are from 0 to 5


def check_submission(run: FinishedRun) -> Mapping[str, str]:
    """The submission file of each hidden split of the run's data set.

    Raises:
        UserError: If it is not a GLUE task with submissions.
    """
    if not run.data.submission:
        raise UserError(
            f"the run {run.record.name} was trained on {run.data.name}, which has no GLUE submission; "
            "give a run on a GLUE task, such as data=sst2"
        )
    return run.data.submission


def make_submission(run: FinishedRun, device: str | None = None) -> dict[str, str]:
    """The submission files (name -> content) of a run on a GLUE task.

    Raises:
        UserError: If the data set has no GLUE submission, or the test rows or the checkpoint cannot be used.
    """
    files = check_submission(run)
    data_dir = os.environ.get("EMBFACT_DATA_DIR") or run.data_dir
    rows = {split: load_split(run.data, data_dir, split, run.label_names) for split in files}
    from embfact.inference.scoring import Scorer  # imports torch

    scorer, contents = Scorer(run, device), {}
    with TemporaryDirectory() as folder:
        for split, name in files.items():
            logits = scorer.logits(
                rows[split], max_length=run.data.max_length, batch_size=run.eval_batch_size, cache_dir=folder
            )
            contents[name] = submission_table(name, rows[split].column("id").to_pylist(), logits, run.label_names)
    return contents


def write_submission(contents: Mapping[str, str], folder: Path) -> list[Path]:
    """Write files (name -> content) atomically to a folder, which is created if necessary; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / name for name in contents]
    for path, content in zip(paths, contents.values(), strict=True):
        write_text(path, content)
    return paths


def submission_table(name: str, ids: Sequence[int], logits: np.ndarray, label_names: Sequence[str] | None) -> str:
    """The content of a submission file.

    Args:
        name: Its name, as GLUE requires.
        ids: Row number of each prediction.
        logits: Scores, shape ``(n, classes)``, or ``(n, 1)`` for a regression.
        label_names: Class names in the order of their codes; None for a regression.
    """
    if label_names is None:
        predictions = [f"{value:.3f}" for value in np.clip(logits[:, 0], 0, LARGEST)]
    else:
        labels = label_names if name in BY_NAME else [str(code) for code in range(len(label_names))]
        predictions = [labels[code] for code in logits.argmax(axis=1)]
    lines = [f"{index}\t{prediction}\n" for index, prediction in zip(ids, predictions, strict=True)]
    return "index\tprediction\n" + "".join(lines)
