"""The studies of a sweep: run one after another before its runs, which then use the best options.

Light to import: Optuna is imported with the first study, torch with the first trial.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

from embfact.config.run_config import RunConfig
from embfact.formatting.numbers import duration
from embfact.runs.planned import PlannedRun
from embfact.search.plan import PlannedStudy, describe_options, studies_of, with_options
from embfact.system.lock import holder
from embfact.system.signals import interruptible

if TYPE_CHECKING:
    from embfact.search.study import Findings


@dataclass(frozen=True)
class Tuned:
    """A sweep after its search.

    Attributes:
        configs: The runs that can be planned, with the best options of their studies, in the order of the sweep.
        stuck: The runs of studies that found nothing, each with the reason.
    """

    configs: tuple[RunConfig, ...]
    stuck: tuple[PlannedRun, ...]


def tune(configs: Sequence[RunConfig], say: Callable[[str], object]) -> Tuned:
    """Complete every study of a sweep, and configure its runs with the best options.

    If a study finds nothing, only its own runs cannot start. An interrupted study is resumed by the same command. The
    dense runs that a sweep adds have their own studies. `say` prints a line for each study with new trials.

    Raises:
        Interrupted: If a signal asked to stop.
    """
    studies = studies_of(configs)
    answers: dict[PlannedStudy, dict[str, float] | str] = {}
    different = [study for study in dict.fromkeys(studies) if study]
    for number, study in enumerate(different, 1):
        answers[study] = _answer(study, f"[search {number}/{len(different)}] {study.name}", say)
    ready: list[RunConfig] = []
    stuck: dict[str, PlannedRun] = {}
    for config, planned in zip(configs, studies, strict=True):
        answer = answers[planned] if planned else {}
        if isinstance(answer, str):
            run = PlannedRun(config, None, problem=answer)
            stuck[f"{run.title}: {run.problem}"] = run
        else:
            ready.append(with_options(config, answer))
    return Tuned(tuple(ready), tuple(stuck.values()))


def describe(configs: Sequence[RunConfig]) -> list[str]:
    """The studies of a sweep as lines: what each has found, or how many trials are missing. Writes nothing."""
    studies = studies_of(configs)
    found = {study: _look(study) for study in dict.fromkeys(studies) if study}
    if not found:
        return []
    width = max(len(study.name) for study in found)
    lines = [f"{study.name:<{width}}  {_state(answer, study)}" for study, answer in found.items()]
    options = ", ".join(dict.fromkeys(name for study in found for name in study.config.search.space))
    missing = sum(study.trials - answer.done for study, answer in found.items() if not isinstance(answer, str))
    # Runs of one study that differ only in the tuned options are one run.
    waiting = {(s, config.seed) for config, s in zip(configs, studies, strict=True) if s and not _options(found[s], s)}
    count = f"{len(found)} stud{'ies' if len(found) > 1 else 'y'}"
    return [*lines, f"search of {options}: {count}, {missing} trials to do; {len(waiting)} runs wait for it"]


def known(configs: Sequence[RunConfig]) -> tuple[RunConfig, ...]:
    """The runs whose options are known: those of finished studies, and those that are not tuned."""
    studies = studies_of(configs)
    found = {study: _options(_look(study), study) for study in dict.fromkeys(studies) if study}
    options = [found[study] if study else {} for study in studies]
    pairs = zip(configs, options, strict=True)
    return tuple(with_options(config, values) for config, values in pairs if values is not None)


def _answer(study: PlannedStudy, title: str, say: Callable[[str], object]) -> dict[str, float] | str:
    """The best options of a study, or why there are none."""
    found = _look(study)
    if isinstance(found, str):
        return found
    if found.done < study.trials:
        if other := holder(study.lock):
            say(f"{title}  waiting for process {other.pid} on {other.host}, which is running it")
        start, before = perf_counter(), found.done
        found = _complete(study)
        if isinstance(found, str):
            return found
        more = f"{found.done - before} of {found.done} trials" if before else f"{found.done} trials"
        say(f"{title}  {more}  {_describe(found, study)}  {duration(perf_counter() - start)}")
    return _describe(found, study) if found.options is None else found.options


def _options(found: Findings | str, study: PlannedStudy) -> dict[str, float] | None:
    """The best options of a study; None if it is unfinished or found none."""
    return None if isinstance(found, str) or found.done < study.trials else found.options


def _state(found: Findings | str, study: PlannedStudy) -> str:
    if isinstance(found, str):
        return found
    return _describe(found, study) if found.done == study.trials else f"{study.trials - found.done} trials to do"


def _look(study: PlannedStudy) -> Findings | str:
    from embfact.search.study import DAMAGES, look

    try:
        return look(study)
    except DAMAGES as error:
        return _damage(study, error)


def _complete(study: PlannedStudy) -> Findings | str:
    """Complete a study, or return why that is impossible."""
    # Some libraries warn when imported; the warnings of a trial go to its log.
    logging.disable(logging.WARNING)
    from embfact.search.study import DAMAGES, complete
    from embfact.search.trial import train

    logging.disable(logging.NOTSET)
    try:
        with interruptible():
            return complete(study, train)
    except DAMAGES as error:
        return _damage(study, error)


def _damage(study: PlannedStudy, error: Exception) -> str:
    reason = str(error).splitlines()[0]
    return (
        f"its search cannot be stored in {study.database} ({type(error).__name__}: {reason}); "
        "fix the folder, or delete the file to search again"
    )


def _describe(found: Findings, study: PlannedStudy) -> str:
    """The result of a finished study."""
    given_up = [f"{found.given_up} given up"] if found.given_up else []
    failed = [f"{len(found.failed)} failed"] if found.failed else []
    if found.options is None:
        last = f"; the last one: {found.failed[-1]} (log in {study.directory})" if found.failed else ""
        return f"its search found nothing: of {found.done} trials {', '.join([*given_up, *failed])}{last}"
    beside = f" ({', '.join([*given_up, *failed])})" if given_up or failed else ""
    return f"lowest held-out loss {found.value or 0:.4f} with {describe_options(found.options)}{beside}"
