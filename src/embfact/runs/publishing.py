"""Finished runs and ``output_url``: sent there when they finish, sent again if that failed, and known from there.

Light to import: no torch; fsspec comes with the first URL.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from embfact.config.run_config import RunConfig
from embfact.errors import UserError
from embfact.runs.identity import Identity
from embfact.runs.planned import PlannedRun
from embfact.runs.record import RunRecord
from embfact.runs.status import read_status, write_status


def send(config: RunConfig, identity: Identity) -> str:
    """Copy a finished run to its URL, unless it is known to be there.

    Returns:
        Why that was not possible, in words; empty if it is there, or is to go nowhere.
    """
    url, status = config.output_url, read_status(identity.directory)
    if url is None or (status and status.published == url and not config.force):
        return ""
    from embfact.runs.publish import publish

    try:
        publish(identity.directory, url, identity.name)
        if status:
            write_status(status.now(published=url), identity.directory)
    except (UserError, OSError) as error:
        return f"finished, but not copied to {url}: {error}; the same command tries again"
    return ""


def with_published(plan: Sequence[PlannedRun]) -> list[PlannedRun]:
    """A plan in which runs that are finished at their URL, with the weights asked for, need not be done here.

    Raises:
        RemoteError: If a URL cannot be read.
    """
    found: dict[str, RunRecord] = {}
    for url in {run.config.output_url for run in plan if run.config.output_url and not run.config.force}:
        from embfact.runs.publish import published_records

        asked = [run for run in plan if run.pending and run.config.output_url == url]
        records = published_records(url, {run.title: run.identity.hash for run in asked if run.identity})
        found |= {run.key: records[run.title] for run in asked if run.title in records}
    return [
        replace(run, record=found[run.key], elsewhere=True)
        if run.key in found and _serves(found[run.key], run.config)
        else run
        for run in plan
    ]


def _serves(record: RunRecord, config: RunConfig) -> bool:
    """Whether a run has kept the weights that are asked for."""
    return config.checkpoint == "none" or record.config.get("checkpoint") != "none"
