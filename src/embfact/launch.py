"""The command line: refuse what is wrong, plan what is asked for, let Hydra's launcher run it, print what came out.

Imports nothing heavy: torch and Lightning come with the first run that has to be done.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import hydra
from hydra._internal.utils import get_args_parser
from omegaconf import DictConfig

from embfact.composition import CONFIG_NAME, Request, read_request
from embfact.errors import ConfigError, Fault
from embfact.log import say
from embfact.preflight import check
from embfact.records.identity import identify
from embfact.records.record import RunRecord
from embfact.sweep import PlannedRun, describe, make_plan

# Questions that Hydra answers itself, without running anything; --cfg is one more, of a valid configuration.
_QUESTIONS = ("help", "hydra_help", "version", "info", "shell_completion")
# Flags of Hydra's that would choose other configurations than those that are validated here.
_REFUSED = ("config_path", "config_name", "config_dir", "experimental_rerun")


def main(conf_dir: Path, words: Sequence[str]) -> int:
    """Answer one command line.

    Args:
        conf_dir: The folder with ``train.yaml``.
        words: What was typed after ``train.py``.

    Returns:
        Exit code: 0, 1 if a run failed, 2 if the command was refused.
    """
    try:
        arguments = _parse(words)
        if any(getattr(arguments, name, None) for name in _QUESTIONS):
            return _ask_hydra(conf_dir, words, arguments.overrides)
        request = read_request(conf_dir, arguments.overrides, bool(arguments.multirun))
        check(request.configs)
        if arguments.cfg:
            return _ask_hydra(conf_dir, words, arguments.overrides)
    except ConfigError as error:
        count = len(error.faults)
        say_error(f"embfact: nothing was started; {count} thing{'s' if count > 1 else ''} to mend:\n{error}")
        return 2
    try:
        return _answer(conf_dir, request)
    except KeyboardInterrupt:
        say_error("embfact: interrupted; finished runs are kept, and the same command goes on with the others")
        return 130


def say_error(text: str) -> None:
    """Print to standard error."""
    print(text, file=sys.stderr, flush=True)


def _parse(words: Sequence[str]) -> argparse.Namespace:
    """Hydra's own flags, with an unknown one refused as every other fault is."""
    parser = get_args_parser()

    def refuse(message: str) -> NoReturn:
        raise ConfigError([Fault(message, "", "see python train.py --help")])

    parser.error = refuse  # type: ignore[method-assign]
    # Intermixed, so that an override may also follow -m.
    arguments = parser.parse_intermixed_args(list(words))
    for flag in _REFUSED:
        if value := getattr(arguments, flag, None):
            what = f"--{flag.replace('_', '-')} is not supported"
            raise ConfigError([Fault(what, str(value), "put YAML files into conf/ and choose them: group=name")])
    return arguments


def _ask_hydra(conf_dir: Path, words: Sequence[str], overrides: Sequence[str]) -> int:
    # Hydra's own parser wants its flags after the overrides, or before them.
    sys.argv[1:] = [*overrides, *(word for word in words if word not in overrides)]
    hydra.main(version_base="1.3", config_path=str(conf_dir), config_name=CONFIG_NAME)(_nothing)()
    return 0


def _nothing(config: DictConfig) -> None:
    """What Hydra would run after answering a question: nothing."""


def _answer(conf_dir: Path, request: Request) -> int:
    plan = make_plan(request.configs, with_baseline=request.multirun)
    if request.configs[0].plan:
        say("\n".join(describe(plan)))
        return 1 if any(run.problem for run in plan) else 0
    pending = [run for run in plan if run.pending]
    finished = [(run, run.record) for run in plan if run.record]
    if finished:
        say(f"{len(finished)} of {len(plan)} runs are finished already")
    if pending and request.multirun:
        finished += zip(pending, _launch(conf_dir, request, pending), strict=True)
    elif pending:
        finished += [(pending[0], run_job(pending[0], 1, 1))]
    return _report(plan, finished, request.multirun)


def _launch(conf_dir: Path, request: Request, runs: Sequence[PlannedRun]) -> list[RunRecord]:
    """Do runs through the launcher that the configuration names (``hydra/launcher=``)."""
    from hydra._internal.callbacks import Callbacks
    from hydra._internal.hydra import Hydra
    from hydra._internal.utils import create_automatic_config_search_path
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.plugins import Plugins
    from hydra.types import HydraContext, RunMode

    GlobalHydra.instance().clear()
    search_path = create_automatic_config_search_path(None, None, str(conf_dir))
    engine = Hydra.create_main_hydra2(task_name=CONFIG_NAME, config_search_path=search_path)
    try:
        # Hydra makes this folder itself: it must be the one that the runs go to.
        folder = runs[0].config.output_dir.replace("\\", r"\\").replace("'", r"\'")
        overrides = [*request.overrides, f"hydra.sweep.dir='{folder}'"]
        settings = engine.compose_config(CONFIG_NAME, overrides, run_mode=RunMode.MULTIRUN)
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=HydraContext(config_loader=engine.config_loader, callbacks=Callbacks(settings)),
            task_function=SweepTask(tuple(runs)),
            config=settings,
        )
        # The runs are validated already: Hydra only counts the jobs and says where they run.
        results = launcher.launch([[] for _ in runs], initial_job_idx=0)
    finally:
        GlobalHydra.instance().clear()
    return [result.return_value for result in results]


@dataclass(frozen=True)
class SweepTask:
    """What a launcher calls for each job of a sweep, here or in another process.

    Attributes:
        runs: The runs, by job number.
    """

    runs: tuple[PlannedRun, ...]

    def __call__(self, settings: DictConfig) -> RunRecord:
        """Do the run of the job that Hydra has just set up."""
        from hydra.core.hydra_config import HydraConfig

        number = HydraConfig.get().job.num
        return run_job(self.runs[number], number + 1, len(self.runs))


def run_job(run: PlannedRun, number: int, total: int) -> RunRecord:
    """Do one run and print its line.

    Args:
        run: What to do; it must have an identity.
        number: Which run of the sweep it is, from 1.
        total: How many there are.
    """
    # Some libraries warn at import; a run's own warnings go to its log.
    logging.disable(logging.WARNING)
    from embfact.run import execute

    logging.disable(logging.NOTSET)
    record = execute(run.config, run.identity or identify(run.config))
    counter = f"[{number:>{len(str(total))}}/{total}] " if total > 1 else ""
    say(f"{counter}{record.name}  {_outcome(record)}  {record.seconds.total:.0f} s")
    return record


def _outcome(record: RunRecord) -> str:
    """The reported metrics of a run, or why it has none."""
    if record.error:
        return f"FAILED: {record.error.message}"
    many = len(record.metrics) > 1
    return "  ".join(
        f"{split + ' ' if many else ''}{name} " + ("undefined" if value is None else f"{100 * value:.1f}")
        for split, metrics in record.metrics.items()
        for name, value in metrics.items()
    )


def _report(plan: Sequence[PlannedRun], outcomes: Sequence[tuple[PlannedRun, RunRecord]], multirun: bool) -> int:
    """Print the table and the paths; the exit code says whether every run finished."""
    places = [run.identity.directory for run, _ in outcomes if run.identity]
    if outcomes and multirun:
        from embfact.records.collect import Collected
        from embfact.records.render import render
        from embfact.records.table import build_table

        folders = " ".join(sorted({str(place.parent) for place in places}))
        say(f"\n{render(build_table(Collected(tuple(record for _, record in outcomes))))}\nwrote {folders}")
        say(f"table in other formats: python scripts/table.py {folders} --format md|latex|csv")
    elif outcomes:
        say(f"wrote {places[0]}")
    unstarted = [f"not run: {run.title}: {run.problem}" for run in plan if run.problem]
    failed = [
        f"failed: {record.name}: {record.error.message} (traceback in {place / 'log.txt'})"
        for place, (_, record) in zip(places, outcomes, strict=True)
        if record.error
    ]
    for line in [*unstarted, *failed]:
        say_error(line)
    return 1 if unstarted or failed else 0
