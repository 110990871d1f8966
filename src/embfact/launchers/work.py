"""One run, done in whatever process a launcher has chosen for it.

Light to import: torch and Lightning come with the first run that has to be done.
"""

from __future__ import annotations

import logging

from embfact.launchers.outcome import Outcome
from embfact.records.identity import identify
from embfact.sweep import PlannedRun


def do_run(run: PlannedRun) -> Outcome:
    """Do a run, unless another process does it or has done it; a failure is an outcome too.

    Raises:
        Interrupted: If a signal ended it; its status says so.
    """
    # Some libraries warn at import; a run's own warnings go to its log.
    logging.disable(logging.WARNING)
    from embfact.execution import execute

    logging.disable(logging.NOTSET)
    return execute(run.config, run.identity or identify(run.config))
