"""Choosing, checking and calling the launcher of a sweep; imports neither torch nor an engine."""

from __future__ import annotations

import inspect
from importlib import import_module
from pathlib import Path

from embfact.config.compose import RunRequest
from embfact.config.hydra_bridge import BASIC_LAUNCHER, hydra_launcher
from embfact.config.overrides import refusing
from embfact.errors import ConfigError, ErrorDetail, nearest
from embfact.launchers.base import OwnLauncher
from embfact.launchers.sweep_task import SweepTask

OWN = "embfact.launchers."


def check_launch(conf_dir: Path, request: RunRequest) -> None:
    """Refuse a sweep that its launcher cannot run.

    Raises:
        ConfigError: With every error.
    """
    if not request.multirun:
        return
    launcher = _own_class(request)
    if launcher is None and request.launcher != {"_target_": BASIC_LAUNCHER}:
        # Have Hydra create it as it will for the sweep.
        typed = " ".join(word for word in request.overrides if "hydra" in word)
        found = typed or str(request.launcher.get("_target_"))
        refused = refusing("hydra.launcher cannot be used", found, "see hydra/launcher= in docs/sweeps.md")
        with refused, hydra_launcher(conf_dir, request.overrides, SweepTask([])):
            pass
    errors = _unknown_options(launcher, request) if launcher else []
    if launcher and not errors:
        errors = launcher.errors(request.launcher, request.configs)
    several = max(config.trainer.devices for config in request.configs)
    if several > 1 and not (launcher and launcher.process_tree_each):
        what = "a sweep (-m) cannot start runs of several processes with this launcher"
        remedy = "leave out -m and start one run at a time, or use hydra/launcher=submitit_slurm, a job for each run"
        errors.append(ErrorDetail(what, f"trainer.devices={several}", remedy))
    if errors:
        raise ConfigError(errors)


def trains_here(request: RunRequest) -> bool:
    """Whether all runs are trained on this machine."""
    if not request.multirun:
        return True
    own = _own_class(request)
    return own.on_this_machine if own else request.launcher.get("_target_") == BASIC_LAUNCHER


def _unknown_options(launcher: type[OwnLauncher], request: RunRequest) -> list[ErrorDetail]:
    parameters = inspect.signature(launcher).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return []  # the launcher checks them itself
    unknown = [name for name in request.launcher if name != "_target_" and name not in parameters]
    return [ErrorDetail(f"hydra.launcher has no option {name}", name, nearest(name, parameters)) for name in unknown]


def launch(conf_dir: Path, request: RunRequest, sweep: SweepTask) -> None:
    """Run a sweep through the configured launcher (``hydra/launcher=``)."""
    own = _own_class(request)
    if own:
        launcher = own(**{key: value for key, value in request.launcher.items() if key != "_target_"})
        launcher.setup(task_function=sweep)
        launcher.launch([], initial_job_idx=0)
        return
    with hydra_launcher(conf_dir, request.overrides, sweep) as launcher_of_hydra:
        # The runs are validated already: Hydra only numbers the jobs and decides where they run.
        results = launcher_of_hydra.launch([[] for _ in sweep.runs], initial_job_idx=0)
        # Hydra's launchers may have used other processes.
        for number, result in enumerate(results):
            sweep.outcomes.setdefault(number, result.return_value)


def _own_class(request: RunRequest) -> type[OwnLauncher] | None:
    """The class of one of embfact's launchers; None for a launcher of Hydra or of one of its plugins.

    Raises:
        ConfigError: If there is no such class.
    """
    target = str(request.launcher.get("_target_", ""))
    if not target.startswith(OWN):
        return None
    module, _, name = target.rpartition(".")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError):
        found = None
    if not (isinstance(found, type) and issubclass(found, OwnLauncher)) or inspect.isabstract(found):
        raise ConfigError(
            [ErrorDetail("hydra.launcher._target_ is not a launcher", target, "choose one: hydra/launcher=NAME")]
        )
    return found
