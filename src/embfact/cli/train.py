"""`train.py`: parse the command line, plan its runs, and run what is missing.

Light to import: torch and Lightning are imported with the first run.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from embfact.config.compose import RunRequest, read_request
from embfact.config.questions import ask, is_question, parse
from embfact.errors import ConfigError, UserError
from embfact.launchers.choice import check_launch, launch, trains_here
from embfact.launchers.sweep_task import SweepTask, line_of
from embfact.launchers.work import import_once
from embfact.log import say, say_error
from embfact.results.wandb.access import check_home
from embfact.results.wandb.services import check_installed
from embfact.runs.accelerators import check_accelerators
from embfact.runs.planned import Outcome, PlannedRun
from embfact.runs.preflight import check, check_downloads
from embfact.search import check_search
from embfact.sweep.changes import changes
from embfact.sweep.failures import unfinished
from embfact.sweep.planner import all_configs, describe, known_outcomes, plan_request, prepare
from embfact.sweep.report import report, wait_for
from embfact.system.signals import Interrupted, describe_signal, interruptible


def main(conf_dir: Path, argv: Sequence[str]) -> int:
    """Run the command line ``train.py *argv`` with the configurations in `conf_dir`.

    Returns:
        Exit code: 0, 1 if a run is not finished, 2 if the command was refused, 130 or 143 if it was interrupted.
    """
    try:
        arguments = parse(argv)
        if is_question(arguments):
            ask(conf_dir, arguments)
            return 0
        request = read_request(conf_dir, arguments.overrides, arguments.multirun)
        check(request.configs)
        check_launch(conf_dir, request)
        check_search(request.configs)
        all_configs(request)
        check_installed(config.logger for config in request.configs)
        if arguments.cfg:
            ask(conf_dir, arguments)
            return 0
        if trains_here(request):
            # A plan must not take seconds to import torch.
            check_accelerators([one.trainer for one in request.configs], ask_torch=not request.configs[0].plan)
            if any(config.logger.used == "wandb" for config in request.configs):
                check_home()
        check_downloads(request.configs)
    except ConfigError as error:
        count = len(error.errors)
        say_error(f"embfact: nothing was started; {count} configuration error{'s' if count > 1 else ''}:\n{error}")
        return 2
    return run_request(request, conf_dir)


def run_request(request: RunRequest, conf_dir: Path) -> int:
    """Plan the runs of a valid request, run what is missing, and report the results.

    Returns:
        Exit code: 0, 1 if a run is not finished, 130 or 143 if it was interrupted.
    """
    first = request.configs[0]
    plan: list[PlannedRun] = []
    outcomes: dict[str, Outcome] = {}
    try:
        with interruptible():
            plan = plan_request(request)
            if first.plan:
                say("\n".join([*(describe(plan) if plan else []), *changes(plan)]))
                return int(any(planned.problem for planned in plan))
            outcomes |= known_outcomes(plan)
            if outcomes:
                hint = "; add force=true to train and profile them again" if first.profile else ""
                done = sum(one.state == "finished" for one in outcomes.values())
                say(f"{done} of {len(plan)} runs are already finished{hint}")
                if not request.multirun:
                    say(line_of(plan[0], outcomes[plan[0].key]))
            for line in [*prepare(plan), *changes(plan)]:
                say(line)
            # Those in float32 first: others can take their weights.
            pending = sorted((run for run in plan if run.pending), key=lambda run: run.config.storage != "float32")
            while pending:
                sweep = SweepTask(pending, fail_fast=first.fail_fast)
                try:
                    if request.multirun:
                        launch(conf_dir, request, sweep)
                    else:
                        import_once()
                        from embfact.training.run import run

                        sweep.report(0, run(pending[0]))
                finally:
                    outcomes |= {pending[number].key: outcome for number, outcome in sweep.outcomes.items()}
                if sweep.stopped:
                    break
                pending = wait_for([one for one in pending if outcomes[one.key].state == "busy"], outcomes)
            return report(plan, outcomes, request.multirun)
    except Interrupted as interrupted:
        for line in unfinished([run for run in plan if run.key in outcomes], outcomes):
            say_error(line)
        again = "; with force=true it restarts from scratch" if first.force else ""
        say_error(f"embfact: {describe_signal(interrupted.signum)}{again}")
        return interrupted.exit_code
    except UserError as error:  # about something that all runs share: the URL, the study
        say_error(f"embfact: {error}")
        return 1
