"""Slots for parallel runs: how many, and the threads and GPU of each; imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from embfact.config.run_config import RunConfig
from embfact.errors import ErrorDetail

# Libraries read these once, when they are loaded: they must be set before the process starts.
_THREADS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "RAYON_NUM_THREADS",
)


@dataclass(frozen=True)
class Slot:
    """A place for one run at a time.

    Attributes:
        threads: CPU threads of a run whose configuration does not set them.
        gpu: The only GPU that its runs see, for CUDA_VISIBLE_DEVICES; None leaves that unchanged.
    """

    threads: int
    gpu: str | None = None

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables of its process."""
        device = {} if self.gpu is None else {"CUDA_VISIBLE_DEVICES": self.gpu}
        return {**dict.fromkeys(_THREADS, str(self.threads)), **device}


def lay_out(runs: int | None, configs: Sequence[RunConfig], cores: int, gpus: Sequence[str]) -> list[Slot]:
    """The slots for some runs, with no more threads in all than there are cores (see `errors`).

    `runs` is how many run at once; None for as many as there are GPUs or, for training on the CPU, cores.
    """
    threads, devices = _most_threads(configs), gpus if _may_use_gpu(configs) else ()
    count = runs or max(1, min(len(devices) or cores, cores // threads))
    # Even if fewer runs are left: otherwise the last bits of a result would depend on how many had finished before.
    share = max(threads, cores // count)
    return [Slot(share, devices[number] if devices else None) for number in range(min(count, len(configs)))]


def errors(
    options: Mapping[str, Any], configs: Sequence[RunConfig], cores: int, gpus: Sequence[str]
) -> list[ErrorDetail]:
    """Why the runs cannot run in parallel as the launcher's section of the configuration says."""
    runs = options.get("runs")
    if runs is not None and (isinstance(runs, bool) or not isinstance(runs, int) or runs < 1):
        what = "hydra.launcher.runs must be a number of runs, 1 or more, or null"
        return [ErrorDetail(what, str(runs), "e.g. hydra.launcher.runs=2")]
    found, threads, count = [], _most_threads(configs), runs or 1
    if count * threads > cores:
        what = "parallel runs would use more threads than this process has cores"
        values = f"hydra.launcher.runs={runs or 'null'} trainer.threads={threads}, {cores} cores"
        remedies = [f"hydra.launcher.runs={cores // threads}"] if threads <= cores else []
        remedies += [f"trainer.threads={cores // count}"] if threads > 1 and count <= cores else []
        remedy = " or ".join(remedies) or f"hydra.launcher.runs={cores} trainer.threads=1"
        found.append(ErrorDetail(what, values, f"set {remedy}"))
    if gpus and _may_use_gpu(configs) and count > len(gpus):
        what = f"each parallel run needs a GPU, but there are only {len(gpus)}"
        remedy = f"set hydra.launcher.runs={len(gpus)}, or trainer=cpu to train without GPUs"
        found.append(ErrorDetail(what, f"hydra.launcher.runs={runs}", remedy))
    return found


def _most_threads(configs: Sequence[RunConfig]) -> int:
    """The most threads that any run asks for; 1 if none does."""
    return max((config.trainer.threads or 1 for config in configs), default=1)


def _may_use_gpu(configs: Sequence[RunConfig]) -> bool:
    return any(config.trainer.accelerator in ("auto", "gpu") for config in configs)
