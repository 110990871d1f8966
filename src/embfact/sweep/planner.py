"""The plan of a sweep: its runs, which of them are finished, how long the others will take, and their preparation.

Light to import: a sweep whose runs are all finished never imports torch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from shutil import rmtree
from statistics import mean

from embfact.config.compose import RunRequest
from embfact.config.run_config import RunConfig
from embfact.config.sections import CHECKPOINT
from embfact.errors import ModelError, UserError
from embfact.formatting.numbers import duration
from embfact.log import say
from embfact.results.collect import find_records
from embfact.runs.config_file import write_config
from embfact.runs.identity import identify
from embfact.runs.life import pending as pending_status
from embfact.runs.planned import Outcome, PlannedRun, finished_record, outcome_of
from embfact.runs.publish import send, with_published
from embfact.runs.record import FILE_NAME, RunRecord, read
from embfact.runs.status import LOCK, RESUME, read_status, write_status
from embfact.runs.tidy import tidy, tidy_caches
from embfact.search.earlier_sweep import describe_best, with_best
from embfact.sweep.sizes import size_lines
from embfact.system.lock import acquire, holder


def plan_request(request: RunRequest) -> list[PlannedRun]:
    """The runs of a command, and what is known about each already.

    A search for options runs first; with ``plan=true`` it does not, and the plan has the runs whose options are known.

    Raises:
        Interrupted: If a signal asked to stop.
        UserError: If something that all runs share cannot be used: the URL, the study.
    """
    from embfact import search

    only_plan = request.configs[0].plan
    chosen = search.choose(all_configs(request), say, measure=not only_plan)
    for line in chosen.waiting:
        say(line)
    configs = with_best(chosen.configs)
    for line in describe_best(configs):
        say(line)
    if not any(config.search.trials for config in configs):
        return with_published([*make_plan(configs), *chosen.stuck])
    if only_plan:
        for line in search.describe(configs):
            say(line)
        return with_published([*make_plan(search.known(configs)), *chosen.stuck])
    tuned = search.tune(configs, say)
    return with_published([*make_plan(tuned.configs), *tuned.stuck, *chosen.stuck])


def all_configs(request: RunRequest) -> list[RunConfig]:
    """Every configuration of a command, those of dense runs included, with what an earlier sweep found best.

    Raises:
        ConfigError: If that sweep cannot be used.
    """
    return with_best(with_baselines(request.configs) if request.multirun else request.configs)


def with_baselines(configs: Sequence[RunConfig]) -> list[RunConfig]:
    """The runs of a sweep after the dense run of every data set, model and seed (where ``baseline=true``)."""
    return [*(config.dense() for config in configs if config.baseline), *configs]


def make_plan(configs: Sequence[RunConfig]) -> list[PlannedRun]:
    """The runs of some configurations, in order and without duplicates.

    Configurations that differ only in options without effect (the rank of a method without one) are one run.
    """
    runs: dict[str, PlannedRun] = {}
    for config in configs:
        run = _planned(config)
        key = run.key
        # If two differ only in whether the weights are kept, the one that keeps them serves both.
        if key not in runs or runs[key].config.checkpoint == "none":
            runs[key] = run
    return list(runs.values())


def _planned(config: RunConfig) -> PlannedRun:
    try:
        identity = identify(config)
    except (UserError, OSError) as error:
        return PlannedRun(config, None, problem=str(error))
    record = None if config.force else finished_record(identity, config)
    status = None if record else read_status(identity.directory)
    return PlannedRun(config, identity, record, status=status if status and status.hash == identity.hash else None)


def known_outcomes(plan: Sequence[PlannedRun]) -> dict[str, Outcome]:
    """The outcomes of the runs that need not be repeated, by key; finished ones are sent to their URL if necessary."""
    outcomes = {}
    for run in plan:
        if run.record:
            outcome = outcome_of(run.record)
            if outcome.state == "finished" and run.identity and not run.elsewhere:
                outcome = replace(outcome, unpublished=send(run.config, run.identity))
            outcomes[run.key] = outcome
    return outcomes


def describe(plan: Sequence[PlannedRun]) -> list[str]:
    """A plan as lines: every run, whether it is finished, how large it is, what it learns from, and the time left."""
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
    teachers = Counter(run.identity.teacher for run in plan if run.identity and run.identity.teacher)
    learning = [f"{number} run{'s learn' if number > 1 else ' learns'} from {run}" for run, number in teachers.items()]
    summary = f"{', '.join(counts)}, {len(pending)} to do: {estimate(pending)}"
    return [*lines, "", *size_lines(plan), "", *learning, summary] if plan else [summary]


def _state(run: PlannedRun) -> str:
    if run.record:
        return run.record.status
    if run.problem or run.identity is None:
        return f"cannot start: {run.problem}"
    owner = holder(run.identity.directory / LOCK)
    if owner:
        return f"running (process {owner.pid} on {owner.host})"
    if run.status is None or run.status.state == "pending":
        return "to do"
    state = "interrupted" if run.status.state == "running" else run.status.state
    where = f" at step {run.status.step} of {run.status.steps}" if run.status.steps else ""
    return f"to do ({state}{where})"


def estimate(pending: Sequence[PlannedRun]) -> str:
    """How long some runs will take, from finished runs of the same data, size and backbone in the same folder."""
    if not pending:
        return "nothing to wait for"
    folders = [folder for folder in {run.config.output_dir for run in pending} if Path(folder).is_dir()]
    records = find_records(folders).records
    seconds = [_likely_seconds(run, records) for run in pending]
    known = [value for value in seconds if value is not None]
    if not known:
        return "no estimate, since no run of this data and backbone is finished"
    unknown = len(seconds) - len(known)
    more = f", and {unknown} run{'s' if unknown > 1 else ''} of unknown length" if unknown else ""
    return f"about {duration(sum(known))}{more}"


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


def prepare(plan: Sequence[PlannedRun]) -> list[str]:
    """Write the status of new runs, and complete those whose process died after writing the record.

    Returns:
        Lines on damaged records, whose runs are repeated.
    """
    lines = []
    for folder in {run.config.paths.cache_dir for run in plan}:
        tidy_caches(Path(folder))
    for run in plan:
        if run.identity is None:
            continue
        directory = run.identity.directory
        tidy(directory)
        if run.record and not run.elsewhere:
            _settle(run.record, directory)
        if run.record:
            continue
        # A directory that cannot be read or written fails its run later, when it starts.
        with suppress(OSError):
            if (directory / FILE_NAME).exists():
                try:
                    read(directory)
                except ModelError as error:
                    lines.append(f"{run.title} is repeated: {error}")
            elif run.status is None:
                _mark_pending(run, directory)
    return lines


def _settle(record: RunRecord, directory: Path) -> None:
    """Finish what a process that died after writing the record left undone: cleaning up, and correcting the status."""
    status = read_status(directory)
    unwanted = [directory / RESUME]
    if record.status == "finished" and record.config.get("checkpoint") == "none":
        unwanted.append(directory / CHECKPOINT)
    if (status is None or status.state == record.status) and not any(folder.exists() for folder in unwanted):
        return
    with suppress(OSError):
        lock = acquire(directory / LOCK)
        if lock:
            with lock:
                for folder in unwanted:
                    rmtree(folder, ignore_errors=True)
                if status:
                    message = record.error.message if record.error else None
                    write_status(status.now(state=record.status, message=message), directory)


def _mark_pending(run: PlannedRun, directory: Path) -> None:
    lock = acquire(directory / LOCK)
    if lock is None or run.identity is None:
        return
    with lock:
        write_config(run.config, directory)
        write_status(pending_status(run.identity), directory)
