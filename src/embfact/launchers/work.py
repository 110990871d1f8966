"""One run, done in whatever process a launcher has chosen for it.

Light to import: torch and Lightning come with the first run that has to be done.
"""

from __future__ import annotations

import gc
import logging
from functools import cache
from importlib import import_module

from embfact.runs.outcome import Outcome
from embfact.runs.planned import PlannedRun


def do_run(run: PlannedRun) -> Outcome:
    """Do a run, unless another process does it or has done it; a failure is an outcome too.

    Raises:
        Interrupted: If a signal ended it; its status says so.
    """
    import_once()
    from embfact.training.run import run as train

    return train(run)


@cache
def import_once() -> None:
    """Import what a run needs, quietly and without a search for garbage, which would take a sixth of the time."""
    # Some libraries warn at import; a run's own warnings go to its log.
    logging.disable(logging.WARNING)
    gc.disable()
    try:
        import_module("embfact.training.run")
    finally:
        # What was imported stays to the end: later searches, one after every run, pass over it.
        gc.freeze()
        gc.enable()
        logging.disable(logging.NOTSET)
