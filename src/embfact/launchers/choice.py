"""Which launcher a sweep goes through, and whether it can.

Light to import: no torch, and no engine.
"""

from __future__ import annotations

import inspect
from importlib import import_module
from pathlib import Path
from typing import Any

from hydra._internal.callbacks import Callbacks
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_automatic_config_search_path
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig

from embfact.composition import CONFIG_NAME, Request
from embfact.errors import ConfigError, Fault, nearest
from embfact.launchers.base import OwnLauncher
from embfact.launchers.sweep_task import SweepTask

OWN = "embfact.launchers."


def check_launch(request: Request) -> None:
    """Refuse a sweep that its launcher cannot do.

    Raises:
        ConfigError: With every fault.
    """
    if not request.multirun:
        return
    launcher = _own_class(request)
    faults = _unknown_options(launcher, request) if launcher else []
    if launcher and not faults:
        faults = launcher.faults(request.launcher, request.configs)
    several = max(config.trainer.devices for config in request.configs)
    if several > 1 and not (launcher and launcher.process_tree_each):
        what = "a sweep (-m) cannot start runs that are processes of their own"
        remedy = "leave out -m and give one run at a time, or use hydra/launcher=submitit_slurm, a job for each run"
        faults.append(Fault(what, f"trainer.devices={several}", remedy))
    if faults:
        raise ConfigError(faults)


def _unknown_options(launcher: type[OwnLauncher], request: Request) -> list[Fault]:
    parameters = inspect.signature(launcher).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return []  # it checks them itself
    unknown = [name for name in request.launcher if name != "_target_" and name not in parameters]
    return [Fault(f"hydra.launcher has no option {name}", name, nearest(name, parameters)) for name in unknown]


def launch(conf_dir: Path, request: Request, sweep: SweepTask) -> None:
    """Do the runs of a sweep through the launcher that the configuration names (``hydra/launcher=``)."""
    GlobalHydra.instance().clear()
    search_path = create_automatic_config_search_path(None, None, str(conf_dir))
    engine = Hydra.create_main_hydra2(task_name=CONFIG_NAME, config_search_path=search_path)
    try:
        # Hydra makes this folder itself, and writes nothing in it: runs make theirs, and say so where they cannot.
        overrides = [*request.overrides, "hydra.sweep.dir=."]
        settings = engine.compose_config(CONFIG_NAME, overrides, run_mode=RunMode.MULTIRUN)
        context = HydraContext(config_loader=engine.config_loader, callbacks=Callbacks(settings))
        launcher = _launcher(request, context, sweep, settings)
        # The runs are validated already: Hydra only counts the jobs and says where they run.
        results = launcher.launch([[] for _ in sweep.runs], initial_job_idx=0)
        # Hydra's own launchers may have done them in other processes.
        for number, result in enumerate(results):
            sweep.outcomes.setdefault(number, result.return_value)
    finally:
        GlobalHydra.instance().clear()


def _launcher(request: Request, context: HydraContext, sweep: SweepTask, settings: DictConfig) -> Launcher:
    own = _own_class(request)
    if own is None:
        return Plugins.instance().instantiate_launcher(hydra_context=context, task_function=sweep, config=settings)
    options: dict[str, Any] = {key: value for key, value in request.launcher.items() if key != "_target_"}
    launcher = own(**options)
    launcher.setup(hydra_context=context, task_function=sweep, config=settings)
    return launcher


def _own_class(request: Request) -> type[OwnLauncher] | None:
    """The class of a launcher of ours; None for one of Hydra's, or of a plugin of Hydra's."""
    target = str(request.launcher.get("_target_", ""))
    if not target.startswith(OWN):
        return None
    module, _, name = target.rpartition(".")
    return getattr(import_module(module), name)
