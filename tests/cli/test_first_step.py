"""A run reaches its first optimizer step without what it needs only later, or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.helpers.places import ROOT

TRAIN = ROOT / "train.py"
# What is slow to import and not needed to train: W&B is opened with the first loss that is logged.
NEEDLESS = {"wandb", "datasets", "sklearn", "optuna", "onnxruntime", "ray", "submitit"}
UNTIL_FIRST_STEP = """
import gc, os, runpy, sys

from embfact.launchers import work

import_once = work.import_once


def imports():
    import_once()
    from torch.optim.optimizer import register_optimizer_step_post_hook

    register_optimizer_step_post_hook(stop)


def stop(*_):
    print(gc.isenabled(), *sys.modules, flush=True)
    os._exit(0)


work.import_once = imports
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_the_first_step_comes_before_slow_imports_that_are_not_for_training(tiny: list[str], tmp_path: Path) -> None:
    words = [*tiny, "logger=offline", "output_dir=runs", "factorization=svd", "rank=8"]
    code = f"import sys; sys.argv = {[str(TRAIN), *words]}\n{UNTIL_FIRST_STEP}"
    environment = {name: value for name, value in os.environ.items() if name != "EMBFACT_DATA_DIR"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    collecting, *imported = done.stdout.split()
    assert "pytorch_lightning" in imported
    assert NEEDLESS.isdisjoint(imported)
    # Switched off for the imports alone.
    assert collecting == "True"
