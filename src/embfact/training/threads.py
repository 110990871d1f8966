"""CPU threads of a run: fixed, recorded, and the same in every attempt, since another number gives other last bits."""

from __future__ import annotations

import logging

import torch

from embfact.config.run_config import RunConfig
from embfact.runs.attempt import Attempt

log = logging.getLogger(__name__)

# As the environment says (OMP_NUM_THREADS), or the cores: before any run of this process has changed it.
USUAL = torch.get_num_threads()


def use_threads(config: RunConfig, attempt: Attempt) -> int:
    """Set the number of threads: the one asked for, else that of the attempt that is gone on with, else the usual one.

    Returns:
        The number.
    """
    before = attempt.life.status.threads if attempt.resumes else None
    threads = config.trainer.threads or before or USUAL
    if before not in (None, threads):
        log.warning("gone on with on %d threads, begun on %d: the last bits of the results may differ", threads, before)
    torch.set_num_threads(threads)
    attempt.life.use(threads)
    return threads
