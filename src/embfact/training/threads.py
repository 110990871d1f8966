"""CPU threads of a run: recorded, and the same in every attempt, since they affect the last bits of the results."""

from __future__ import annotations

import logging

import torch

from embfact.config.run_config import RunConfig
from embfact.runs.attempt import Attempt

log = logging.getLogger(__name__)

# From OMP_NUM_THREADS or the number of cores, before any run of this process has changed it.
USUAL = torch.get_num_threads()


def use_threads(config: RunConfig, attempt: Attempt) -> int:
    """Set and return the number of threads: as configured, else that of the resumed attempt, else the default."""
    before = attempt.life.status.threads if attempt.resumes else None
    threads = config.trainer.threads or before or USUAL
    if before not in (None, threads):
        log.warning("resumed on %d threads, started on %d: the last bits of the results may differ", threads, before)
    torch.set_num_threads(threads)
    attempt.life.use(threads)
    return threads
