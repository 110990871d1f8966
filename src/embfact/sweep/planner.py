"""What a sweep has to do: which runs, which of them are finished, how long the others will take.

Light to import: a sweep whose runs are all finished never imports torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import mean

from embfact.config.compose import RunRequest
from embfact.config.run_config import RunConfig
from embfact.errors import UserError
from embfact.formatting.numbers import duration
from embfact.log import say
from embfact.results.collect import find_records
from embfact.runs.identity import Identity, identify
from embfact.runs.outcome import Outcome
from embfact.runs.planned import PlannedRun, finished_record
from embfact.runs.publishing import send, with_published
from embfact.runs.record import RunRecord
from embfact.runs.status import LOCK, Status, read_status
from embfact.system.lock import holder


def plan_request(request: RunRequest) -> list[PlannedRun]:
    """The runs that a command asks for, and what is known of each already.

    Options that are searched for are found first; with ``plan=true`` nothing is searched, and the runs are those whose
    options are known by now.

    Args:
        request: The configurations of a command.

    Raises:
        Interrupted: If a signal asked to stop.
        UserError: If a place that all runs share cannot be used: the URL, the study.
    """
    configs = with_baselines(request.configs) if request.multirun else list(request.configs)
    if not any(config.search.trials for config in configs):
        return with_published(make_plan(configs))
    from embfact import search

    if request.configs[0].plan:
        for line in search.describe(configs):
            say(line)
        return with_published(make_plan(search.known(configs)))
    tuned = search.tune(configs, say)
    return with_published([*make_plan(tuned.configs), *tuned.stuck])


def with_baselines(configs: Sequence[RunConfig]) -> list[RunConfig]:
    """The runs of a sweep with the dense run of every data set, model and seed in front (where ``baseline=true``)."""
    return [*(config.dense() for config in configs if config.baseline), *configs]


def make_plan(configs: Sequence[RunConfig]) -> list[PlannedRun]:
    """The runs of some configurations, each once, in their order.

    Two that differ only in what decides nothing (the rank of a method without one) are one run.

    Args:
        configs: The configurations of a command.
    """
    runs: dict[str, PlannedRun] = {}
    for config in configs:
        run = _planned(config)
        key = run.key
        # Of two that differ only in whether the weights are kept, the one that keeps them serves both.
        if key not in runs or runs[key].config.checkpoint == "none":
            runs[key] = run
    return list(runs.values())


def _planned(config: RunConfig) -> PlannedRun:
    try:
        identity = identify(config)
    except (UserError, OSError) as error:
        return PlannedRun(config, None, problem=str(error))
    record = None if config.force else finished_record(identity, config)
    return PlannedRun(config, identity, record, status=None if record else _status(identity))


def _status(identity: Identity) -> Status | None:
    status = read_status(identity.directory)
    return status if status and status.hash == identity.hash else None


def known_outcomes(plan: Sequence[PlannedRun]) -> dict[str, Outcome]:
    """What came of the runs that need not be done again, by key; those that are not at their URL yet are sent there."""
    return {run.key: _known(run) for run in plan if run.record}


def _known(run: PlannedRun) -> Outcome:
    record = run.record
    if record is None or record.status == "finished":
        here = None if run.elsewhere else run.identity
        return Outcome("finished", record=record, unpublished=send(run.config, here) if here else "")
    return Outcome("diverged", record.error.message if record.error else "", record)


def describe(plan: Sequence[PlannedRun]) -> list[str]:
    """A plan in lines: every run, whether it is finished, and the time that the others will take."""
    width = max((len(run.title) for run in plan), default=0)
    lines = [f"{run.title:<{width}}  {_state(run)}" for run in plan]
    pending = [run for run in plan if run.pending]
    done = sum(run.record is not None and run.record.status == "finished" for run in plan)
    diverged = sum(run.record is not None for run in plan) - done
    stuck = sum(run.problem is not None for run in plan)
    counts = [
        f"{len(plan)} run{'s' if len(plan) > 1 else ''}",
        f"{done} finished",
        *([f"{diverged} diverged"] if diverged else []),
        *([f"{stuck} cannot start"] if stuck else []),
    ]
    return [*lines, f"{', '.join(counts)}, {len(pending)} to do: {estimate(pending)}"]


def _state(run: PlannedRun) -> str:
    if run.record:
        return run.record.status
    if run.problem or run.identity is None:
        return f"cannot start: {run.problem}"
    at_it = holder(run.identity.directory / LOCK)
    if at_it:
        return f"running (process {at_it.pid} on {at_it.host})"
    if run.status is None or run.status.state == "pending":
        return "to do"
    state = "interrupted" if run.status.state == "running" else run.status.state
    where = f" at step {run.status.step} of {run.status.steps}" if run.status.steps else ""
    return f"to do ({state}{where})"


def estimate(pending: Sequence[PlannedRun]) -> str:
    """How long some runs will take, from finished runs of the same data, size and backbone in the same folder."""
    if not pending:
        return "nothing to wait for"
    records = [record for folder in {run.config.output_dir for run in pending} for record in _records_in(folder)]
    seconds = [_likely_seconds(run, records) for run in pending]
    known = [value for value in seconds if value is not None]
    if not known:
        return "no estimate, since no run of this data and backbone is finished"
    unknown = len(seconds) - len(known)
    return f"about {duration(sum(known))}" + (f", and {unknown} runs of unknown length" if unknown else "")


def _records_in(folder: str) -> list[RunRecord]:
    return list(find_records([folder]).records) if Path(folder).is_dir() else []


def _likely_seconds(run: PlannedRun, records: Iterable[RunRecord]) -> float | None:
    config = run.config
    sizes = config.data.model_dump(mode="json", include={"name", "train_size", "eval_size", "max_length"})
    times = [
        record.seconds.total
        for record in records
        if record.status == "finished"
        and record.model.name == config.model.label
        and {key: record.config["data"].get(key) for key in sizes} == sizes
        and record.config["trainer"].get("epochs") == config.trainer.epochs
    ]
    return mean(times) if times else None
