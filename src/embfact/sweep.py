"""What a sweep has to do: which runs, which of them are finished, how long the others will take.

Light to import: a sweep whose runs are all finished never imports torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from embfact.config import RunConfig
from embfact.errors import UserError
from embfact.records.collect import find_records
from embfact.records.identity import Identity, identify
from embfact.records.record import CHECKPOINT, RunRecord, is_finished, read


@dataclass(frozen=True)
class PlannedRun:
    """One run of a plan.

    Attributes:
        config: Its configuration.
        identity: Its name and directory, or None if its data or backbone is not there.
        record: Its record, if it is finished and need not be done again.
        problem: Why it cannot start, in words.
    """

    config: RunConfig
    identity: Identity | None
    record: RunRecord | None = None
    problem: str | None = None

    @property
    def pending(self) -> bool:
        """Whether it is still to be done."""
        return self.identity is not None and self.record is None

    @property
    def title(self) -> str:
        """Its name, or what is known of it."""
        config = self.config
        words = (config.data.name, config.model.label, config.factorization.name, config.size or "", f"s{config.seed}")
        return self.identity.name if self.identity else " ".join(word for word in words if word)


def make_plan(configs: Sequence[RunConfig], with_baseline: bool) -> list[PlannedRun]:
    """The runs of some configurations, each once, dense baselines first.

    Two that differ only in what decides nothing (the rank of a method without one) are one run.

    Args:
        configs: The configurations of a command.
        with_baseline: Add the dense run of every data set, model and seed (where ``baseline=true``).
    """
    if with_baseline:
        configs = [*(config.dense() for config in configs if config.baseline), *configs]
    runs: dict[str, PlannedRun] = {}
    for config in configs:
        run = _planned(config)
        key = str(run.identity.directory) if run.identity else f"{run.title}: {run.problem}"
        # Of two that differ only in whether the weights are kept, the one that keeps them serves both.
        if key not in runs or runs[key].config.checkpoint == "none":
            runs[key] = run
    return list(runs.values())


def _planned(config: RunConfig) -> PlannedRun:
    try:
        identity = identify(config)
    except (UserError, OSError) as error:
        return PlannedRun(config, None, problem=str(error))
    return PlannedRun(config, identity, None if config.force else finished_record(identity, config))


def finished_record(identity: Identity, config: RunConfig) -> RunRecord | None:
    """The record of a run that is finished and has kept the weights that are asked for."""
    if not is_finished(identity.directory, identity.hash):
        return None
    weights = identity.directory / CHECKPOINT / "model.safetensors"
    return read(identity.directory) if config.checkpoint == "none" or weights.is_file() else None


def describe(plan: Sequence[PlannedRun]) -> list[str]:
    """A plan in lines: every run, whether it is finished, and the time that the others will take."""
    width = max(len(run.title) for run in plan)
    lines = []
    for run in plan:
        state = "finished" if run.record else f"cannot start: {run.problem}" if run.problem else "to do"
        lines.append(f"{run.title:<{width}}  {state}")
    pending = [run for run in plan if run.pending]
    done, stuck = sum(run.record is not None for run in plan), sum(run.problem is not None for run in plan)
    counts = [
        f"{len(plan)} run{'s' if len(plan) > 1 else ''}",
        f"{done} finished",
        *([f"{stuck} cannot start"] if stuck else []),
    ]
    return [*lines, f"{', '.join(counts)}, {len(pending)} to do: {estimate(pending)}"]


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


def duration(seconds: float) -> str:
    """Seconds in words: ``45 s``, ``12 min``, ``3 h 20 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
