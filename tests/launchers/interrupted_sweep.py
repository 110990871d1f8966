"""A sweep of stand-ins through an engine, as a program that can be sent signals: ENGINE FOLDER TAGS..."""

from __future__ import annotations

import sys
from pathlib import Path
from unittest import mock

from embfact.launchers import ray_tasks, submitit_jobs
from embfact.launchers.base import OwnLauncher
from embfact.launchers.sweep_task import SweepTask
from embfact.system.signals import Interrupted, interruptible
from tests.helpers.stand_in import planned, work


def launcher(engine: str) -> OwnLauncher:
    """A launcher with room for two runs."""
    if engine == "ray":
        init = {"num_cpus": 2, "object_store_memory": 80 * 2**20}
        shares = {"cpus_per_run": 1, "gpus_per_run": 0, "at_once": None}
        return ray_tasks.RayLauncher(address=None, max_retries=1, init=init, **shares)
    shares = {"cpus_per_task": 1, "array_parallelism": 2}
    return submitit_jobs.LocalLauncher(folder=None, timeout_min=5, max_num_timeout=2, **shares)


def main(engine: str, folder: str, *tags: str) -> int:
    """Do the sweep; the exit code is that of a shell."""
    module = ray_tasks if engine == "ray" else submitit_jobs
    try:
        with interruptible(), mock.patch.object(module, "do_run", work):
            launcher(engine).do_all(SweepTask(planned(Path(folder), *tags)))
    except Interrupted as interrupted:
        return interrupted.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
