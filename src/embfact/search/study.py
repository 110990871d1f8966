"""One study in SQLite: its trials are drawn, run, pruned and counted such that a restart changes nothing.

The database decides the next trial: the ended trials, and a seed derived from that of the study and their number. A
trial whose process died does not count and is repeated.
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

TIMEOUT = 60  # seconds to wait for another process that is writing to the same database
# User attributes of a trial. A failed trial without a reason lost its process.
OPTIONS, REASON, DIVERGED = "options", "reason", "diverged"
VOID = "void"  # user attribute of a study: numbers of trials that no longer count
DAMAGES = (StorageInternalError, SQLAlchemyError, OSError, RuntimeError)
"""The errors of a study that cannot be stored: a damaged database, one of another version of Optuna (a RuntimeError), a
full disk, a folder that is not writable."""

Report = Callable[[float, int], None]
Objective = Callable[[RunConfig, str, Path, Report], float]
"""A trial: takes configuration, title, scratch folder and a function to report intermediate scores; returns its score.

Lower is better. The report raises `optuna.TrialPruned` if the trial is hopeless.
"""


@dataclass(frozen=True)
class Findings:
    """The result of the trials of a study that count.

    Attributes:
        done: Trials that count, at most those asked for.
        options: The best values by option; None until a trial has completed.
        value: The held-out loss that they reached, the mean over the seeds.
        given_up: Pruned trials, which ended early because they were hopeless.
        failed: Why each failed trial failed.
    """

    done: int
    options: dict[str, float] | None
    value: float | None
    given_up: int
    failed: tuple[str, ...]


def look(study: PlannedStudy) -> Findings:
    """What a study has found so far; writes nothing.

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
    """Run the missing trials; waits if another process is running the study.

    Args:
        study: The study.
        objective: Runs a trial. If it raises, the trial has failed, which does not affect the others.

    Raises:
        DAMAGES: If the study cannot be stored.
    """
    asked = study.config.search
    with held(study.lock), _storage(study.database) as storage:
        optuna_study = optuna.create_study(
            study_name=study.name,
            storage=storage,
            direction="minimize",
            load_if_exists=True,
            pruner=MedianPruner(n_startup_trials=asked.startup),
        )
        for trial in optuna_study.get_trials(deepcopy=False, states=[TrialState.RUNNING]):
            optuna_study.tell(trial.number, state=TrialState.FAIL)  # we hold the lock, so its process is dead
        void = _void(optuna_study)
        optuna_study.set_user_attr(VOID, void)
        while len(counted := _counted(optuna_study, void)) < study.trials:
            # Seeded by its number, so that a trial gets the same proposal whatever was interrupted before it.
            seed = int(np.random.SeedSequence([asked.seed, len(counted)]).generate_state(1)[0])
            optuna_study.sampler = TPESampler(n_startup_trials=asked.startup, seed=seed)
            _run_trial(optuna_study, study, objective, f"trial {len(counted) + 1}/{study.trials}")
        found = _findings(counted, study.trials)
        if not found.failed:  # without failures, nobody needs the log
            rmtree(study.directory, ignore_errors=True)
            with suppress(OSError):
                study.directory.parent.rmdir()
        return found


def _run_trial(optuna_study: optuna.Study, study: PlannedStudy, objective: Objective, title: str) -> None:
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
    """The trials that count, in order: those that were not killed and are not void."""
    ended = (TrialState.COMPLETE, TrialState.PRUNED)
    trials = optuna_study.get_trials(deepcopy=False)
    return [t for t in trials if t.number not in void and (t.state in ended or REASON in t.user_attrs)]


def _void(optuna_study: optuna.Study) -> list[int]:
    """Trials to repeat: if none has completed, those that failed for reasons other than their options."""
    before = list(optuna_study.user_attrs.get(VOID, []))
    trials = optuna_study.get_trials(deepcopy=False)
    if any(trial.state == TrialState.COMPLETE for trial in trials):
        return before
    failed = [t.number for t in trials if REASON in t.user_attrs and not t.user_attrs.get(DIVERGED)]
    return sorted({*before, *failed})


def _findings(counted: list[FrozenTrial], asked: int) -> Findings:
    # A study with more trials than asked for is judged by its first ones, so that all studies have equally many.
    trials = counted[:asked]
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    # Ties go to the earliest trial.
    best = min(complete, key=lambda trial: (trial.value, trial.number), default=None)
    return Findings(
        len(trials),
        best.user_attrs[OPTIONS] if best else None,
        best.value if best else None,
        sum(trial.state == TrialState.PRUNED for trial in trials),
        tuple(str(trial.user_attrs[REASON]) for trial in trials if trial.state == TrialState.FAIL),
    )


@contextmanager
def _storage(database: Path, read_only: bool = False) -> Iterator[RDBStorage]:
    """The database, closed at the end of the block; a lock prevents two processes from creating it at once."""
    optuna.logging.disable_default_handler()  # we print our own lines
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    place = f"file:{quote(str(database.absolute()))}?mode={'ro' if read_only else 'rwc'}"
    options: dict[str, Any] = {
        "poolclass": NullPool,
        # SQLAlchemy's URLs cannot express every path.
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
