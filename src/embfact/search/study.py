"""One study, kept in SQLite: trials that are drawn, done, given up and counted so that a restart changes nothing.

What decides the next trial is in the database: the finished trials, and a seed made of the study's and the number of
those that count. A trial that its process did not survive counts for nothing and is done again.
"""

from __future__ import annotations

import logging
import sqlite3
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from typing import Any
from urllib.parse import quote

import numpy as np
import optuna
from optuna.exceptions import StorageInternalError
from optuna.pruners import MedianPruner
from optuna.samplers import TPESampler
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from embfact.config.run_config import RunConfig
from embfact.errors import DivergedError, UserError
from embfact.log import run_log
from embfact.search.plan import PlannedStudy, describe_options, rounded, with_options
from embfact.system.lock import held

log = logging.getLogger(__name__)

TIMEOUT = 60  # seconds to wait for another process that writes into the same database
# Notes of a trial. Without a reason, one that failed was not finished by its process.
OPTIONS, REASON, DIVERGED = "options", "reason", "diverged"
VOID = "void"  # note of a study: numbers of trials that do not count any more
DAMAGES = (StorageInternalError, SQLAlchemyError, OSError, RuntimeError)
"""What a study raises that cannot be kept: a damaged database or one of another Optuna (which says so by a
RuntimeError), a full disk, a folder that may not be written to."""

Report = Callable[[float, int], None]
Objective = Callable[[RunConfig, str, Path, Report], float]
"""What a trial is: configuration, title, scratch folder and where to report a score at a check, to a score.

Higher is better. The report raises `optuna.TrialPruned` where the trial is hopeless.
"""


@dataclass(frozen=True)
class Findings:
    """What the counted trials of a study have found.

    Attributes:
        done: Trials that count, at most those asked for.
        options: The best values by option; None as long as no trial has come through.
        value: The held-out metric that they reached.
        given_up: Trials that ended early because they were hopeless.
        failed: Why each failed one did.
    """

    done: int
    options: dict[str, float] | None
    value: float | None
    given_up: int
    failed: tuple[str, ...]


def look(study: PlannedStudy) -> Findings:
    """What a study has found until now; nothing is written.

    Raises:
        DAMAGES: If the database cannot be read.
    """
    if not study.database.is_file():
        return Findings(0, None, None, 0, ())
    with _storage(study.database, read_only=True) as storage:
        if study.name not in [known.study_name for known in storage.get_all_studies()]:
            return Findings(0, None, None, 0, ())
        optuna_study = optuna.load_study(study_name=study.name, storage=storage)
        return _findings(_counted(optuna_study, _void(optuna_study)), study.trials)


def complete(study: PlannedStudy, objective: Objective) -> Findings:
    """Do the trials that are missing; waits for another process that is at it.

    Args:
        study: The study.
        objective: What a trial does. One that raises has failed, and the others go on.

    Raises:
        DAMAGES: If it cannot be kept.
    """
    asked = study.config.search
    with held(study.lock), _storage(study.database) as storage:
        optuna_study = optuna.create_study(
            study_name=study.name,
            storage=storage,
            direction="maximize",
            load_if_exists=True,
            pruner=MedianPruner(n_startup_trials=asked.startup),
        )
        for trial in optuna_study.get_trials(deepcopy=False, states=[TrialState.RUNNING]):
            optuna_study.tell(trial.number, state=TrialState.FAIL)  # its process is dead: the lock is ours
        void = _void(optuna_study)
        optuna_study.set_user_attr(VOID, void)
        while len(counted := _counted(optuna_study, void)) < study.trials:
            # The same number is proposed the same, whatever was interrupted before it.
            optuna_study.sampler = TPESampler(n_startup_trials=asked.startup, seed=_seed(asked.seed, len(counted)))
            _do(optuna_study, study, objective, f"trial {len(counted) + 1}/{study.trials}")
        found = _findings(counted, study.trials)
        if not found.failed:  # nobody looks for a log
            rmtree(study.directory, ignore_errors=True)
            with suppress(OSError):
                study.directory.parent.rmdir()
        return found


def _do(optuna_study: optuna.Study, study: PlannedStudy, objective: Objective, title: str) -> None:
    trial = optuna_study.ask()
    options = {}
    for name, space in sorted(study.config.search.space.items()):
        options[name] = rounded(trial.suggest_float(name, space.low, space.high, log=space.log), space.low, space.high)
    trial.set_user_attr(OPTIONS, options)

    def report(value: float, check: int) -> None:
        trial.report(value, check)
        if trial.should_prune():
            raise optuna.TrialPruned

    scratch = study.directory / "trial"
    with run_log(study.directory):
        log.info("%s: %s", title, describe_options(options))
        try:
            scratch.mkdir(parents=True, exist_ok=True)
            value = objective(with_options(study.config, options), f"{study.name} {title}", scratch, report)
        except optuna.TrialPruned:
            optuna_study.tell(trial, state=TrialState.PRUNED)
        except Exception as error:
            log.error("%s failed:\n%s", title, traceback.format_exc())
            reason = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
            trial.set_user_attr(DIVERGED, isinstance(error, DivergedError))
            trial.set_user_attr(REASON, reason)
            optuna_study.tell(trial, state=TrialState.FAIL)
        else:
            optuna_study.tell(trial, value)
        finally:
            rmtree(scratch, ignore_errors=True)


def _counted(optuna_study: optuna.Study, void: list[int]) -> list[FrozenTrial]:
    """The trials that count, in their order: those that ended by themselves, unless they are void."""
    ended = (TrialState.COMPLETE, TrialState.PRUNED)
    trials = optuna_study.get_trials(deepcopy=False)
    return [t for t in trials if t.number not in void and (t.state in ended or REASON in t.user_attrs)]


def _void(optuna_study: optuna.Study) -> list[int]:
    """Trials to do again: where nothing has come through, those that failed for a reason outside of the options."""
    before = list(optuna_study.user_attrs.get(VOID, []))
    trials = optuna_study.get_trials(deepcopy=False)
    if any(trial.state == TrialState.COMPLETE for trial in trials):
        return before
    failed = [t.number for t in trials if REASON in t.user_attrs and not t.user_attrs.get(DIVERGED)]
    return sorted({*before, *failed})


def _findings(counted: list[FrozenTrial], asked: int) -> Findings:
    # A study that was longer once is judged by its first trials: as many as all others have.
    trials = counted[:asked]
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    # The earliest of equals: a small held-out slice has many.
    best = max(complete, key=lambda trial: (trial.value, -trial.number), default=None)
    return Findings(
        len(trials),
        best.user_attrs[OPTIONS] if best else None,
        best.value if best else None,
        sum(trial.state == TrialState.PRUNED for trial in trials),
        tuple(str(trial.user_attrs[REASON]) for trial in trials if trial.state == TrialState.FAIL),
    )


def _seed(seed: int, number: int) -> int:
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


@contextmanager
def _storage(database: Path, read_only: bool = False) -> Iterator[RDBStorage]:
    """The database, closed again at the end; two processes that make it do so one after the other."""
    optuna.logging.disable_default_handler()  # its lines are for a person, and so are ours
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    place = f"file:{quote(str(database.absolute()))}?mode={'ro' if read_only else 'rwc'}"
    options: dict[str, Any] = {
        "poolclass": NullPool,
        # An address would not hold every path that a folder can have.
        "creator": lambda: sqlite3.connect(place, uri=True, timeout=TIMEOUT, check_same_thread=False),
    }
    if read_only:
        storage = RDBStorage("sqlite://", options, skip_table_creation=True)
    else:
        with held(database.with_name("search.lock")):
            storage = RDBStorage("sqlite://", options)
    try:
        yield storage
    finally:
        storage.remove_session()
        storage.engine.dispose()
