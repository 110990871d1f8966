"""The one module that uses Hydra's internals, which any release of Hydra may change."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hydra import version
from hydra._internal.callbacks import Callbacks
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra._internal.hydra import Hydra
from hydra._internal.utils import _run_hydra, create_automatic_config_search_path, get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, RunMode, TaskFunction
from omegaconf import DictConfig

CONFIG_NAME = "train"
BASIC_LAUNCHER = f"{BasicLauncher.__module__}.{BasicLauncher.__qualname__}"
"""Hydra's own launcher, which does one run after the other in this process."""


def argument_parser() -> argparse.ArgumentParser:
    """The parser of Hydra's command line."""
    return get_args_parser()


def answer(flags: argparse.Namespace, parser: argparse.ArgumentParser, task: TaskFunction, conf_dir: Path) -> None:
    """Let Hydra answer a question about a task (``--help``, ``--cfg``, ...) on standard output; an error exits."""
    version.setbase("1.3")
    _run_hydra(flags, parser, task, str(conf_dir), CONFIG_NAME)


def apply_override(override: Override, config: DictConfig) -> None:
    """Set a value of a composed configuration in place."""
    ConfigLoaderImpl._apply_overrides_to_config([override], config)


@contextmanager
def hydra_launcher(conf_dir: Path, overrides: Sequence[str], task: TaskFunction) -> Iterator[Launcher]:
    """A launcher of Hydra, or of a Hydra plugin, set up for a sweep of a task."""
    GlobalHydra.instance().clear()
    search_path = create_automatic_config_search_path(None, None, str(conf_dir))
    engine = Hydra.create_main_hydra2(task_name=CONFIG_NAME, config_search_path=search_path)
    try:
        # Hydra creates this folder and writes nothing into it: runs make their own.
        settings = engine.compose_config(CONFIG_NAME, [*overrides, "hydra.sweep.dir=."], run_mode=RunMode.MULTIRUN)
        context = HydraContext(config_loader=engine.config_loader, callbacks=Callbacks(settings))
        yield Plugins.instance().instantiate_launcher(hydra_context=context, task_function=task, config=settings)
    finally:
        GlobalHydra.instance().clear()
