"""The command line: refuse what is wrong, plan what is asked for, let Hydra's launcher run it, print what came out.

Imports nothing heavy: torch and Lightning come with the first run that has to be done.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import hydra
from hydra._internal.utils import get_args_parser
from omegaconf import DictConfig, OmegaConf

from embfact.composition import CONFIG_NAME, Request, read_request, run_values
from embfact.config import RunConfig
from embfact.errors import ConfigError, Fault
from embfact.log import say
from embfact.preflight import check
from embfact.records.record import RunRecord
from embfact.sweep import PlannedRun, describe, make_plan

# Questions that Hydra answers itself, without running anything.
_HYDRA_ANSWERS = ("help", "hydra_help", "version", "cfg", "info", "shell_completion")

_SWEEP_SIZE = "EMBFACT_SWEEP_SIZE"


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
        if any(getattr(arguments, name, None) for name in _HYDRA_ANSWERS):
            hydra.main(version_base="1.3", config_path=str(conf_dir), config_name=CONFIG_NAME)(_nothing)()
            return 0
        request = read_request(conf_dir, arguments.overrides, bool(arguments.multirun))
        check(request.jobs)
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
    return parser.parse_intermixed_args(list(words))


def _nothing(config: DictConfig) -> None:
    """What Hydra would run after answering a question: nothing."""


def _answer(conf_dir: Path, request: Request) -> int:
    plan = make_plan(request.jobs, with_baseline=request.multirun)
    config = request.jobs[0].config
    if config.plan:
        say("\n".join(describe(plan)))
        return 0
    pending = [run for run in plan if run.pending]
    records = [run.record for run in plan if run.record]
    if records:
        say(f"{len(records)} of {len(plan)} runs are finished already")
    if pending:
        done = _launch(conf_dir, request, pending) if request.multirun else [run_job(pending[0].job.config, 1, 1)]
        records += [record for record in done if record]
    return _report(plan, records, request.multirun)


def _launch(conf_dir: Path, request: Request, pending: Sequence[PlannedRun]) -> list[RunRecord | None]:
    """Run jobs through the launcher that the configuration names (``hydra/launcher=``)."""
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
        # A launcher may run jobs in other processes; the environment is how Hydra tells them of the others.
        overrides = [*request.overrides, f"+hydra.job.env_set.{_SWEEP_SIZE}='{len(pending)}'"]
        config = engine.compose_config(CONFIG_NAME, overrides, run_mode=RunMode.MULTIRUN)
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=HydraContext(config_loader=engine.config_loader, callbacks=Callbacks(config)),
            task_function=launched,
            config=config,
        )
        results = launcher.launch([list(run.job.overrides) for run in pending], initial_job_idx=0)
    finally:
        GlobalHydra.instance().clear()
    return [result.return_value for result in results]


def launched(values: DictConfig) -> RunRecord | None:
    """One job of a sweep, as Hydra's launcher calls it."""
    from hydra.core.hydra_config import HydraConfig

    config = RunConfig.parse(run_values(OmegaConf.to_container(values, resolve=True)))
    return run_job(config, HydraConfig.get().job.num + 1, int(os.environ.get(_SWEEP_SIZE, "1")))


def run_job(config: RunConfig, number: int, total: int) -> RunRecord:
    """Do one run and print its line.

    Args:
        config: What to do.
        number: Which run of the sweep it is, from 1.
        total: How many there are.
    """
    # Some libraries warn at import; a run's own warnings go to its log.
    logging.disable(logging.WARNING)
    from embfact.records.identity import identify
    from embfact.run import execute

    logging.disable(logging.NOTSET)
    record = execute(config, identify(config))
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


def _report(plan: Sequence[PlannedRun], records: Sequence[RunRecord], multirun: bool) -> int:
    """Print the table and the paths; the exit code says whether every run finished."""
    places = {run.identity.hash: run.identity.directory for run in plan if run.identity}
    if records and multirun:
        from embfact.records.collect import Collected
        from embfact.records.render import render
        from embfact.records.table import build_table

        folders = " ".join(sorted({str(places[record.hash].parent) for record in records}))
        say(f"\n{render(build_table(Collected(tuple(records))))}\nwrote {folders}")
        say(f"table in other formats: python scripts/table.py {folders} --format md|latex|csv")
    elif records:
        say(f"wrote {places[records[0].hash]}")
    unstarted = [f"not run: {run.title}: {run.problem}" for run in plan if run.problem]
    failed = [
        f"failed: {record.name}: {record.error.message} (traceback in {places[record.hash] / 'log.txt'})"
        for record in records
        if record.error
    ]
    for line in [*unstarted, *failed]:
        say_error(line)
    return 1 if unstarted or failed else 0
