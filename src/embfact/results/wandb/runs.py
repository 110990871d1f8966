"""The records of a W&B project, read through W&B's public API.

Light to import: wandb comes with the first call.
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
from embfact.results.wandb.values import RECORD
from embfact.runs.record import RunRecord, parse

PAGE = 50  # runs that are asked for at a time
_UNENDED = {"running", "pending", "preempting", "preempted"}


def collected(place: str) -> Collected:
    """The records of all runs of a W&B project.

    A run without a whole record becomes a problem in words; so does a run that is there twice, of which one counts, as
    in `embfact.results.collect.find_records`. Predictions and learning curves stay where the runs were done.

    Args:
        place: ``ENTITY/PROJECT`` or ``wandb:ENTITY/PROJECT``.

    Raises:
        UserError: In words, if that names no project, if there is no key, or if W&B does not answer.
    """
    project = project_of(place)
    require_key()
    found: list[RunRecord] = []
    problems: list[str] = []
    without: dict[str, list[str]] = defaultdict(list)
    for run in _runs(project):
        text = run.config.get(RECORD)
        if not isinstance(text, str):
            without[_reason(run)].append(run.name or run.id)
            continue
        try:
            found.append(parse(text.encode(), f"the record of W&B run {project}/{run.id}", "train the run again"))
        except ModelError as error:
            problems.append(str(error))
    records, repeated = deduplicate(found)
    lacking = [_lacking(names, reason) for reason, names in without.items()]
    ordered = sorted(records.values(), key=lambda record: record.name)
    return Collected(tuple(ordered), (*problems, *repeated, *lacking))


def _runs(project: Project) -> Iterator[Any]:
    """Every run of a project, page by page, with its whole configuration.

    Raises:
        UserError: If W&B does not give them.
    """
    seconds = timeout()
    os.environ.setdefault("WANDB_SILENT", "true")
    import wandb

    try:
        # Not lazy: one question for each page, not one more for each run.
        yield from wandb.Api(timeout=seconds).runs(str(project), per_page=PAGE, lazy=False)
    except Exception as error:  # W&B's errors have no common class
        raise refusal(project, error) from error


def _reason(run: Any) -> str:
    if run.state in _UNENDED:
        return f"without a record yet ({run.state})"
    if "hash" not in run.config:
        return "that embfact did not make"
    return f"that ended without a record ({run.state}; start the sweep again, it goes on with what is missing)"


def _lacking(names: list[str], reason: str) -> str:
    shown = shorten(", ".join(names), width=200, placeholder=", ...")
    return f"{len(names)} W&B run{'s' if len(names) > 1 else ''} {reason}: {shown}"
