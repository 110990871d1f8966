"""The command line: refuse what is wrong, leave questions to Hydra, and have the rest done.

Imports nothing heavy: torch and Lightning come with the first run that has to be done.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from embfact.config.compose import read_request
from embfact.config.questions import ask, is_question, parse
from embfact.errors import ConfigError
from embfact.launchers.choice import check_launch, trains_here
from embfact.log import say_error
from embfact.results.wandb.access import check_home
from embfact.runs.accelerators import check_accelerators
from embfact.runs.preflight import check, check_downloads
from embfact.search import check_search
from embfact.sweep.runner import conduct


def main(conf_dir: Path, words: Sequence[str]) -> int:
    """Answer one command line.

    Args:
        conf_dir: The folder with ``train.yaml``.
        words: What was typed after ``train.py``.

    Returns:
        Exit code: 0, 1 if a run failed, 2 if the command was refused, 130 or 143 if it was interrupted.
    """
    try:
        arguments = parse(words)
        if is_question(arguments):
            ask(conf_dir, arguments)
            return 0
        request = read_request(conf_dir, arguments.overrides, arguments.multirun)
        check(request.configs)
        check_launch(conf_dir, request)
        check_search(request.configs)
        if arguments.cfg:
            ask(conf_dir, arguments)
            return 0
        if trains_here(request):
            # A plan is of this machine too; it takes no seconds for it.
            check_accelerators([one.trainer for one in request.configs], ask_torch=not request.configs[0].plan)
            if any(config.logger.mode != "none" for config in request.configs):
                check_home()
        check_downloads(request.configs)
    except ConfigError as error:
        count = len(error.faults)
        say_error(f"embfact: nothing was started; {count} configuration error{'s' if count > 1 else ''}:\n{error}")
        return 2
    return conduct(request, conf_dir)
