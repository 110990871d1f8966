"""The records of a W&B project, read through W&B's public API.

Light to import: wandb is imported by the first call.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from textwrap import shorten
from typing import Any

from embfact.errors import ModelError
from embfact.results.collect import Collected, deduplicate
from embfact.results.wandb.access import Project, project_of, refusal, require_key, timeout
from embfact.results.wandb.sweep import KIND
from embfact.results.wandb.values import RECORD
from embfact.runs.record import RunRecord, parse

PAGE = 50  # runs per request
_UNENDED = {"running", "pending", "preempting", "preempted"}


def collected(place: str) -> Collected:
    """The records of all runs of the W&B project ``ENTITY/PROJECT`` or ``wandb:ENTITY/PROJECT``.

    Runs without a complete record and duplicates are reported as problems, as in
    `embfact.results.collect.find_records`. Predictions and learning curves stay on the machines of the runs.

    Raises:
        UserError: If the name is not a project, there is no key, or W&B fails.
    """
    project = project_of(place)
    require_key()
    found: list[RunRecord] = []
    problems: list[str] = []
    without: dict[str, list[str]] = defaultdict(list)
    for run in _runs(project):
        if KIND in run.config and "hash" not in run.config:
            continue  # the table of a sweep
        text = run.config.get(RECORD)
        if not isinstance(text, str):
            without[_reason(run)].append(run.name or run.id)
            continue
        try:
            found.append(parse(text.encode(), f"the record of W&B run {project}/{run.id}", "train the run again"))
        except ModelError as error:
            problems.append(str(error))
    records, repeated = deduplicate(found)
    missing = []
    for reason, names in without.items():
        shown = shorten(", ".join(names), width=200, placeholder=", ...")
        missing.append(f"{len(names)} W&B run{'s' if len(names) > 1 else ''} {reason}: {shown}")
    ordered = sorted(records.values(), key=lambda record: record.name)
    return Collected(tuple(ordered), (*problems, *repeated, *missing))


def _runs(project: Project) -> Iterator[Any]:
    """Every run of a project, page by page, with its full configuration.

    Raises:
        UserError: If W&B fails.
    """
    seconds = timeout()
    os.environ.setdefault("WANDB_SILENT", "true")
    import wandb

    try:
        # Not lazy: one request per page instead of one more per run.
        yield from wandb.Api(timeout=seconds).runs(str(project), per_page=PAGE, lazy=False)
    except Exception as error:  # W&B errors have no common class
        raise refusal(project, error) from error


def _reason(run: Any) -> str:
    if run.state in _UNENDED:
        return f"without a record yet ({run.state})"
    if "hash" not in run.config:
        return "not created by embfact"
    return f"ended without a record ({run.state}; rerun the sweep, it resumes with the missing runs)"
