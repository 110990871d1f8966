"""One run, in whatever process a launcher has chosen for it.

Light to import: torch and Lightning are imported with the first run.
"""

from __future__ import annotations

import gc
import logging
from functools import cache
from importlib import import_module

from embfact.runs.planned import Outcome, PlannedRun


def do_run(run: PlannedRun) -> Outcome:
    """Run a run, unless another process is running or has run it; a failure is an outcome too.

    Raises:
        Interrupted: If a signal ended it; its status says so.
    """
    import_once()
    from embfact.training.run import run as train

    return train(run)


@cache
def import_once() -> None:
    """Import what a run needs, without warnings and without garbage collection, which takes a sixth of the time."""
    # Some libraries warn when imported; the warnings of a run go to its log.
    logging.disable(logging.WARNING)
    gc.disable()
    try:
        import_module("embfact.training.run")
    finally:
        # Imported objects live until the end, so later collections, one after every run, can skip them.
        gc.freeze()
        gc.enable()
        logging.disable(logging.NOTSET)
