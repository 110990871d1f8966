"""The table of a sweep and its Pareto pictures, as one run more in the group of its runs.

The numbers are those of `embfact.results.table`, the pictures those of `embfact.results.plots`. Light to import: a
service and matplotlib are imported when there is something to write.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from embfact.config.run_config import RunConfig
from embfact.errors import UserError
from embfact.results.collect import Collected, find_records
from embfact.results.plots.points import MEASURES, front, lines
from embfact.results.plots.spec import Chosen, PlotSpec, choose
from embfact.results.result_table import ResultTable, build_table
from embfact.results.table.numbers import row_lines
from embfact.results.wandb.access import SWEEP, sweep_state
from embfact.results.wandb.services import SERVICES, Opening, ServiceRun
from embfact.results.wandb.values import SCORE
from embfact.runs.planned import Outcome, PlannedRun
from embfact.system.atomic import write_text
from embfact.system.lock import held

KIND = "sweep"  # job type of the run, key of the experiment in its configuration, and section of what it shows
TABLE, PARETO, PICTURE = f"{KIND}/table", f"{KIND}/pareto", f"{KIND}/pareto_picture"


def write_sweep(plan: Sequence[PlannedRun], outcomes: Mapping[str, Outcome]) -> str:
    """Write the table of every folder of a sweep to the group of its runs, unless it is there already.

    A table has all records of its folder, also those of earlier commands, whose runs are in the group, too. One process
    at a time writes, and each writes what is there when its turn has come.

    Args:
        plan: The runs of the command.
        outcomes: How they ended.

    Returns:
        Why it could not be written; empty if it was. Nothing is raised: a service must not fail a sweep.
    """
    folders = {one.identity.directory.parent: one.config for one in plan if one.identity and one.config.logger.used}
    for folder, config in folders.items():
        try:
            with held(folder / f"{SWEEP}.lock"):
                found = find_records([folder])
                here = {record.hash for record in found.records}
                # Some are known only from the URL that runs are published to.
                ours = [one for one in plan if one.identity and one.identity.directory.parent == folder]
                ended = [outcomes[one.key].record for one in ours if one.key in outcomes]
                more = [record for record in ended if record and record.hash not in here]
                _write(folder, config, replace(found, records=(*found.records, *more)))
        except Exception as error:  # those of the services have no common class
            title = SERVICES[config.logger.service].title
            return f"{title} does not have the table of the sweep; the same command tries again: {error}"
    return ""


def _write(folder: Path, config: RunConfig, found: Collected) -> None:
    """Write one table, if it is new and has a figure."""
    if not any(record.status == "finished" for record in found.records):
        return
    records = [[record.hash, record.status, record.started.isoformat()] for record in found.records]
    words = json.dumps([config.logger.model_dump(), config.experiment_name, sorted(records)])
    content = hashlib.sha256(words.encode()).hexdigest()
    state = {"id": secrets.token_hex(4), "content": ""} | sweep_state(folder)
    if state["content"] == content:
        return
    # Drawn once: a repeated sweep continues this run.
    write_text(folder / SWEEP, json.dumps(state | {"content": ""}))
    name = config.experiment_name
    opening = Opening(f"{name} ({KIND})", state["id"], folder, name, KIND, {KIND: name, "runs": len(records)})
    run = SERVICES[config.logger.service].open(config.logger, opening)
    succeeded = False
    try:
        with TemporaryDirectory() as pictures:
            show(run, build_table(found), Path(pictures))
        succeeded = True
    finally:
        run.finish(succeeded=succeeded)
    write_text(folder / SWEEP, json.dumps(state | {"content": content}))


def show(run: ServiceRun, table: ResultTable, pictures: Path) -> None:
    """Log a table of a sweep, and accuracy against size for every backbone and data set.

    Args:
        run: An open run.
        table: The table.
        pictures: A folder for files that the run copies.
    """
    from embfact.results.plots.draw import draw
    from embfact.results.plots.style import save

    run.log_table(TABLE, row_lines(table, table.columns))
    for number, (name, part, spec, chosen) in enumerate(_plots(table)):
        column, size = chosen.columns[0], MEASURES[chosen.against][1]
        title = f"{column.metric} on {column.data.label} {column.split} against {size}"
        run.log_scatter(f"{PARETO}{name}", list(points(part, chosen)), size, SCORE, title)
        path = pictures / f"{number}.png"
        save(draw(part, spec, chosen), path)
        run.log_picture(f"{PICTURE}{name}", path, title)


def points(table: ResultTable, chosen: Chosen) -> Iterator[dict[str, Any]]:
    """The points of a Pareto picture, a line each: size and mean over seeds, and whether nothing smaller matches it."""
    column = chosen.columns[0]
    drawn = lines(table, column, chosen.against)
    best = {id(point) for point in front(point for line in drawn for point in line.points)}
    for line in drawn:
        for point in line.points:
            yield {
                "data": column.data.label,
                "backbone": point.row.model,
                "line": line.name,
                "method": point.row.method,
                "size": point.row.asked,
                MEASURES[chosen.against][1]: point.size,
                "metric": f"{column.split}/{column.metric}",
                SCORE: point.mean,
                "std": point.spread.std,
                "seeds": len(point.spread.defined),
                "on the Pareto front": id(point) in best,
            }


def _plots(table: ResultTable) -> Iterator[tuple[str, ResultTable, PlotSpec, Chosen]]:
    """What can be drawn: the ending of its name, the rows of one backbone, and which of their figures."""
    models = dict.fromkeys(row.model for row in table.rows)
    for model in models:
        part = replace(table, rows=tuple(row for row in table.rows if row.model == model))
        for data in dict.fromkeys(column.data for column in part.columns):
            apart = [model] * (len(models) > 1) + [data.label] * (len(table.data) > 1)
            spec = PlotSpec(data=data.label)
            try:
                chosen = choose(part, spec)
            except UserError:  # only dense runs, say
                continue
            yield "".join(f" {word}" for word in apart), part, spec, chosen
