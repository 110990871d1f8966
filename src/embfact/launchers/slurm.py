"""Runs as Slurm jobs: one job array per sweep.

Light to import: submitit is imported with the first job.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from embfact.config.run_config import RunConfig
from embfact.config.sections import Whole
from embfact.errors import ErrorDetail
from embfact.launchers.submitit_jobs import JobOptions, SubmititLauncher
from embfact.runs.planned import Outcome

if TYPE_CHECKING:
    import submitit

COMMANDS = ("sbatch", "srun", "sacct", "scancel", "scontrol")


class SlurmOptions(JobOptions):
    """Options of Slurm jobs; null leaves an option to the cluster."""

    gpus_per_node: int = Field(ge=0, description="GPUs per run")
    mem_gb: float | None = Field(gt=0, description="memory per run in GB")
    array_parallelism: Whole = Field(description="jobs at once")
    partition: str | None = Field(description="partition of the cluster")
    account: str | None = Field(description="account to charge")
    qos: str | None = Field(description="quality of service")
    constraint: str | None = Field(description="required features of a node")
    setup: list[str] = Field(description="shell commands before each run")
    additional_parameters: dict[str, Any] = Field(description="other options of sbatch")


class SlurmLauncher(SubmititLauncher):
    """Runs as a Slurm job array."""

    Options = SlurmOptions
    name = "submitit_slurm"
    poll = 5.0
    grace = 30.0
    options: SlurmOptions

    @classmethod
    def errors(cls, options: Mapping[str, Any], configs: Sequence[RunConfig]) -> list[ErrorDetail]:
        """The errors common to all jobs, and a machine without Slurm."""
        found = super().errors(options, configs)
        missing = [command for command in COMMANDS if shutil.which(command) is None]
        if missing:
            remedy = "start the sweep on a machine of the cluster, or use hydra/launcher=submitit_local"
            found.append(
                ErrorDetail("hydra/launcher=submitit_slurm needs Slurm's commands", f"no {missing[0]}", remedy)
            )
        return found

    @property
    def _gpus(self) -> int:
        return self.options.gpus_per_node

    def _executor(self, folder: str) -> submitit.AutoExecutor:
        import submitit

        most = self.options.max_num_timeout
        executor = submitit.AutoExecutor(folder, cluster="slurm", slurm_max_num_timeout=most)
        executor.update_parameters(**self._parameters())
        return executor

    def _parameters(self) -> dict[str, Any]:
        """The options as submitit names them."""
        options = self.options
        values = {
            "name": "embfact",
            "nodes": 1,
            "tasks_per_node": 1,
            "timeout_min": options.timeout_min,
            "cpus_per_task": options.cpus_per_task,
            "gpus_per_node": options.gpus_per_node or None,
            "mem_gb": options.mem_gb,
            "slurm_array_parallelism": options.array_parallelism,
            "slurm_partition": options.partition,
            "slurm_account": options.account,
            "slurm_qos": options.qos,
            "slurm_constraint": options.constraint,
            "slurm_setup": options.setup or None,
            # A job whose node dies is requeued.
            "slurm_additional_parameters": {"requeue": True, **options.additional_parameters},
            # Since 22.05, some releases do not pass the CPUs of a job on to its steps.
            "slurm_srun_args": [f"--cpus-per-task={options.cpus_per_task}"],
        }
        return {name: value for name, value in values.items() if value is not None}

    def _room(self, active: int, runs: int) -> int:
        return runs  # Slurm keeps the queue

    def _cancel(self, jobs: Sequence[submitit.Job[Outcome]]) -> None:
        _scancel(jobs)

    def _drop_waiting(self, jobs: Sequence[submitit.Job[Outcome]]) -> None:
        _scancel(jobs, "--state=PENDING")


def _scancel(jobs: Sequence[submitit.Job[Outcome]], *options: str) -> None:
    """Cancel whole arrays: one call per job would take minutes."""
    if arrays := sorted({job.job_id.split("_")[0] for job in jobs}):
        subprocess.run(["scancel", *options, *arrays], check=False)
