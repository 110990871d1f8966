"""``factorization=auto``: the method and storage of each budget, chosen once for all seeds of a sweep.

Light to import: torch is imported with the first table that is measured. What was measured is kept beside the runs, in
``auto/NAME.json``, so a repeated command measures nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from embfact.config.run_config import RunConfig
from embfact.config.sections import slug
from embfact.embeddings.layout import StorageFormat
from embfact.errors import UserError
from embfact.factorization.auto import CANDIDATES, Auto
from embfact.runs.identity import identify
from embfact.runs.planned import PlannedRun
from embfact.system.atomic import write_text
from embfact.system.lock import built_once

SHOWN = 3  # how many of the others a line names


@dataclass(frozen=True)
class Measured:
    """A candidate on the table of the backbone.

    Attributes:
        factorization: Name of the method.
        storage: Format of its tables.
        bytes: As saved.
        error: Squared error over the squared norm, each row weighted by its count in held-out rows; None if the method
            failed.
    """

    factorization: str
    storage: StorageFormat
    bytes: int | None
    error: float | None

    def __str__(self) -> str:
        return f"{self.factorization} storage={self.storage}"


_KEPT = TypeAdapter(list[Measured])


@dataclass(frozen=True)
class Chosen:
    """A sweep without ``factorization=auto``.

    Attributes:
        configs: Its runs, each with a method, in their order.
        stuck: The runs for which nothing could be chosen, each with the reason.
        waiting: What is chosen when the sweep starts, as lines; only if nothing was to be measured.
    """

    configs: tuple[RunConfig, ...]
    stuck: tuple[PlannedRun, ...]
    waiting: tuple[str, ...]


def choose(configs: Sequence[RunConfig], say: Callable[[str], object], *, measure: bool = True) -> Chosen:
    """Replace ``factorization=auto`` by the candidate with the least held-out error.

    Runs that differ only in their seed get the same one, measured with the first seed.

    Args:
        configs: The runs of a sweep.
        say: Prints a line for each choice.
        measure: Whether candidates that were not measured before are measured now.
    """
    measured: dict[Path, list[Measured] | str | None] = {}
    ready: list[RunConfig] = []
    stuck: dict[str, PlannedRun] = {}
    waiting: Counter[str] = Counter()
    for config in configs:
        if not isinstance(config.factorization, Auto):
            ready.append(config)
            continue
        found: list[Measured] | str | None
        try:
            file = _file(config)
            if file not in measured:
                measured[file] = _measurements(config, file, measure)
                if line := _line(config, measured[file]):
                    say(line)
            found = measured[file]
        except (UserError, OSError) as error:
            found = str(error)
        if isinstance(found, list):
            best = found[0]
            method = next(method for method, _ in CANDIDATES if method.name == best.factorization)
            ready.append(config.with_method(method, best.storage))
        elif found is None:
            waiting[_title(config)] += 1
        else:
            run = PlannedRun(config, None, problem=found)
            stuck[run.key] = run
    lines = (
        f"{title}: chosen when the sweep starts ({count} run{'s' if count > 1 else ''})"
        for title, count in waiting.items()
    )
    return Chosen(tuple(ready), tuple(stuck.values()), tuple(lines))


def _file(config: RunConfig) -> Path:
    """Where the measurements of a run's candidates are kept: named after everything that decides them."""
    identity = identify(config)
    decisive = {key: identity.science[key] for key in ("data_fingerprint", "model_fingerprint", "evidence", "size")}
    data = {**identity.science["data"], "split_seed": None}  # as the seeds, which share a choice
    decisive |= {"data": data, "storage_group": config.storage_group, "versions": identity.science["versions"]}
    decisive |= {"candidates": repr(CANDIDATES), "results_version": identity.science["results_version"]}
    digest = hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()
    parts = [config.data.name, config.model.label, str(config.target)]
    return Path(config.output_dir) / "auto" / f"{'-'.join([*map(slug, parts), digest[:8]])}.json"


def _title(config: RunConfig) -> str:
    return f"auto, {config.data.name} {config.model.label} {config.target}"


def _line(config: RunConfig, measured: list[Measured] | str | None) -> str | None:
    if not isinstance(measured, list):
        return None
    best, others = measured[0], measured[1:]
    beside = ", ".join(f"{one} {one.error:.4f}" for one in others[:SHOWN])
    return (
        f"{_title(config)}: factorization={best} loses {best.error:.4f} of the table's squared norm on held-out rows"
        f"{f' ({beside})' if beside else ''}"
    )


def _measurements(config: RunConfig, file: Path, measure: bool) -> list[Measured] | str | None:
    """The candidates, best first; or why none could be measured; None if they are to be measured later."""
    measured = _read(file)
    if measured is None and measure:
        file.parent.mkdir(parents=True, exist_ok=True)
        with built_once(file):
            measured = _read(file)
            if measured is None:
                measured = _measure(config)
                write_text(file, json.dumps([asdict(one) for one in measured], indent=1) + "\n")
    if measured is None:
        return None
    known = [(one.error, one.bytes, one) for one in measured if one.error is not None]
    ranked = [one for *_, one in sorted(known, key=lambda found: found[:2])]
    return ranked or f"no method of factorization=auto could be measured; see {file}"


def _read(file: Path) -> list[Measured] | None:
    """The content of a file; None if it is missing or damaged."""
    with suppress(OSError, ValidationError):
        return _KEPT.validate_json(file.read_bytes())
    return None


def _measure(config: RunConfig) -> list[Measured]:
    from embfact.compression.factorize import Workbench
    from embfact.compression.factorize_request import Job

    bench = Workbench(config.dense())
    rows = []
    for job in bench.candidates(Job(config)):
        row = bench.row(job, "")
        rows.append(Measured(row.method, job.config.storage, row.bytes, row.weighted_error))
    return rows
