"""Runs as jobs of Slurm: one array of jobs for a sweep.

Light to import: submitit is imported when the first job is made.
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
from embfact.runs.outcome import Outcome

if TYPE_CHECKING:
    import submitit

COMMANDS = ("sbatch", "srun", "sacct", "scancel", "scontrol")


class SlurmOptions(JobOptions):
    """Jobs of Slurm; null leaves an option to the cluster."""

    gpus_per_node: int = Field(ge=0, description="GPUs of a run")
    mem_gb: float | None = Field(gt=0, description="memory of a run in GB")
    array_parallelism: Whole = Field(description="jobs at once")
    partition: str | None = Field(description="partition of the cluster")
    account: str | None = Field(description="account that is charged")
    qos: str | None = Field(description="quality of service")
    constraint: str | None = Field(description="features that a node must have")
    setup: list[str] = Field(description="shell commands before each run")
    additional_parameters: dict[str, Any] = Field(description="other options of sbatch")


class SlurmLauncher(SubmititLauncher):
    """Runs as an array of jobs of Slurm."""

    Options = SlurmOptions
    name = "submitit_slurm"
    poll = 5.0
    grace = 30.0
    options: SlurmOptions

    @classmethod
    def errors(cls, options: Mapping[str, Any], configs: Sequence[RunConfig]) -> list[ErrorDetail]:
        """Besides what jobs of all kinds have in common: a machine without Slurm."""
        found = super().errors(options, configs)
        missing = [command for command in COMMANDS if shutil.which(command) is None]
        if missing:
            remedy = "start the sweep on a machine of the cluster, or use hydra/launcher=submitit_local"
            found.append(
                ErrorDetail("hydra/launcher=submitit_slurm needs the commands of Slurm", f"no {missing[0]}", remedy)
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
            # A job whose node dies goes back to the queue.
            "slurm_additional_parameters": {"requeue": True, **options.additional_parameters},
            # Some releases since 22.05 no longer hand the CPUs of a job on to what it starts.
            "slurm_srun_args": [f"--cpus-per-task={options.cpus_per_task}"],
        }
        return {name: value for name, value in values.items() if value is not None}

    def _room(self, active: int, runs: int) -> int:
        return runs  # Slurm keeps the queue

    def _cancel(self, jobs: Sequence[submitit.Job[Outcome]]) -> None:
        _scancel(jobs)

    def _drop_waiting(self, jobs: Sequence[submitit.Job[Outcome]]) -> None:
        _scancel(jobs, "--state=PENDING")

    def _was_cancelled(self, job: submitit.Job[Outcome]) -> bool:
        return job.state.startswith("CANCELLED")

    def _end_of(self, job: submitit.Job[Outcome]) -> str:
        return f"its job ended without a result ({job.state})"


def _scancel(jobs: Sequence[submitit.Job[Outcome]], *options: str) -> None:
    """Cancel whole arrays: a call for each of their jobs would take minutes."""
    if arrays := sorted({job.job_id.split("_")[0] for job in jobs}):
        subprocess.run(["scancel", *options, *arrays], check=False)
