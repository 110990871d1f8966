"""``factorization=auto``: the method and storage of each budget, chosen once for all seeds of a sweep.

Light to import: torch is imported with the first table that is measured. What was measured is kept beside the runs, in
``auto/NAME.json``, so a repeated command measures nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from embfact.config.run_config import RunConfig
from embfact.config.sections import CHECKPOINT, slug
from embfact.errors import ModelError, UserError
from embfact.factorization.auto import CANDIDATES, SIZES, Auto
from embfact.models.weight_files import WEIGHTS
from embfact.runs.identity import Identity, identify
from embfact.runs.planned import PlannedRun, finished_record
from embfact.search.measured import Measured, read_measured, write_measured
from embfact.system.lock import built_once

SHOWN = 3  # how many of the others a line names
METHODS = {method.name: method for method, _ in CANDIDATES}


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
    """Replace ``factorization=auto`` by the best candidate: see `Auto`.

    Runs that differ only in their seed get the same one, measured with the first seed.

    Args:
        configs: The runs of a sweep.
        say: Prints a line for each choice.
        measure: Whether candidates that were not measured before are measured now.
    """
    answers: dict[Path, Measured | str | None] = {}
    ready: list[RunConfig] = []
    stuck: dict[str, PlannedRun] = {}
    waiting: Counter[str] = Counter()
    for config in configs:
        method = config.factorization
        if not isinstance(method, Auto):
            ready.append(config)
            continue
        answer: Measured | str | None
        try:
            file = _file(config, method)
            if file not in answers:
                answers[file] = _answer(config, method, file, measure, say)
            answer = answers[file]
        except (UserError, OSError) as error:
            answer = str(error)
        if isinstance(answer, Measured):
            ready.append(config.with_method(METHODS[answer.factorization], answer.storage, answer.budget))
        elif answer is None:
            waiting[_title(config, method)] += 1
        else:
            run = PlannedRun(config, None, problem=answer)
            stuck[run.key] = run
    lines = (
        f"{title}: chosen when the sweep starts ({count} run{'s' if count > 1 else ''})"
        for title, count in waiting.items()
    )
    return Chosen(tuple(ready), tuple(stuck.values()), tuple(lines))


def _title(config: RunConfig, method: Auto) -> str:
    asked = config.target if method.tolerance is None else f"tolerance {method.tolerance:g}"
    return f"auto, {config.data.name} {config.model.label} {asked}"


def _file(config: RunConfig, method: Auto) -> Path:
    """Where the measurements of a run's candidates are kept: named after everything that decides them but the seed."""
    science = identify(config if method.tolerance is None else config.dense()).science
    # A tolerance is measured on the dense run, whose every option counts.
    names = ("data_fingerprint", "model_fingerprint", "data", "versions", "results_version")
    decisive = {name: science[name] for name in (names if method.tolerance is None else science)}
    decisive |= {"seed": None, "data": {**decisive["data"], "split_seed": None}, "storage_group": config.storage_group}
    decisive |= {"budget": config.budget, "evidence": identify(config).science["evidence"]}
    decisive |= {"candidates": repr((CANDIDATES, SIZES))}
    digest = hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()
    asked = "tolerance" if method.tolerance is not None else str(config.target)
    name = "-".join([*map(slug, (config.data.name, config.model.label, asked)), digest[:8]])
    return Path(config.output_dir) / "auto" / f"{name}.json"


def _answer(
    config: RunConfig, method: Auto, file: Path, measure: bool, say: Callable[[str], object]
) -> Measured | str | None:
    """The best candidate; why there is none; None if they are to be measured later."""
    measured = read_measured(file)
    if measured is None and measure:
        dense = _dense_run(config) if method.tolerance is not None else None
        file.parent.mkdir(parents=True, exist_ok=True)
        with built_once(file):
            measured = read_measured(file)
            if measured is None:
                from embfact.search.measure import expected_losses, table_errors

                measured = expected_losses(config, dense.directory) if dense else table_errors(config)
                if any(one.lost is not None for one in measured):
                    write_measured(measured, file)
    if measured is None:
        return None
    known = [(one.lost, one.bytes or 0, one) for one in measured if one.lost is not None]
    if not known:
        return "no method of factorization=auto could be fitted to this table; name one"
    if method.tolerance is None:
        ranked = [one for *_, one in sorted(known, key=lambda found: found[:2])]
        others = ", ".join(f"{one} {one.lost:.4f}" for one in ranked[1 : SHOWN + 1])
        lost = f"loses {ranked[0].lost:.4f} of the table's squared norm on held-out rows"
        say(f"{_title(config, method)}: factorization={ranked[0]} {lost}{f' ({others})' if others else ''}")
        return ranked[0]
    fitting = [one for lost, _, one in known if lost <= method.tolerance]
    if not fitting:
        least = min(known, key=lambda found: found[0])
        return (
            f"factorization=auto: nothing loses at most {method.tolerance:g} points; the least is {least[0]:.2f}, of "
            f"factorization={least[2]} budget={least[2].budget:g}; raise factorization.tolerance"
        )
    best = min(fitting, key=lambda one: (one.bytes or 0, one.lost))
    say(
        f"{_title(config, method)}: factorization={best} budget={best.budget:g} is expected to lose {best.lost:.2f} "
        f"points before it is trained, on held-out rows ({', '.join(_ladder(known))})"
    )
    return best


def _ladder(known: Sequence[tuple[float, int, Measured]]) -> list[str]:
    return [f"{one.budget:g}: {lost:.2f}" for lost, _, one in sorted(known, key=lambda found: found[1])]


def _dense_run(config: RunConfig) -> Identity:
    """The finished dense run that a tolerance is measured on.

    Raises:
        ModelError: If it is not finished, or its weights were not kept.
    """
    dense = config.dense()
    identity = identify(dense)
    record = finished_record(identity, dense)
    if record is None or record.status != "finished" or not (identity.directory / CHECKPOINT / WEIGHTS).is_file():
        raise ModelError(
            f"factorization.tolerance is measured on the dense run {identity.name}, which is not finished; "
            "once it is, repeat the command (a sweep trains it, or factorization=none does)"
        )
    return identity
