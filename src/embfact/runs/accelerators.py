"""Accelerators of this machine, detected without importing torch as far as possible."""

from __future__ import annotations

import ctypes
import os
import platform
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from embfact.config.sections import TrainerConfig
from embfact.errors import ConfigError, ErrorDetail

GPUS = Path("/proc/driver/nvidia/gpus")  # NVIDIA's driver keeps a folder for each
ROCM = Path("/dev/kfd")  # AMD's driver
CUDA = "libcuda.so.1"


@dataclass(frozen=True)
class Supply:
    """How many devices of a kind this machine has.

    Attributes:
        least: At least this many.
        most: At most this many; None if unknown.
        reason: Why there are no more.
    """

    least: int = 0
    most: int | None = None
    reason: str = ""


UNKNOWN = Supply()


def check_accelerators(trainers: Iterable[TrainerConfig], *, ask_torch: bool) -> None:
    """Refuse runs that need devices that this machine lacks.

    With `ask_torch`, torch is imported if nothing else can tell; otherwise only certain failures are refused.

    Raises:
        ConfigError: With every error.
    """
    errors = []
    demands = {(*demand, trainer.devices) for trainer in trainers if (demand := _demand(trainer))}
    for kind, asked, devices in sorted(demands):
        supply = supply_of(kind)
        if ask_torch and supply.most is None and devices > supply.least:
            supply = _supply_of_torch(kind)
        if supply.most is not None and devices > supply.most:
            what = f"{asked} needs {devices} {kind.upper()}{'s' if devices > 1 else ''} on this machine"
            found = f"{supply.most}: {supply.reason}"
            others = f", trainer.devices={supply.most}" if supply.most else ""
            errors.append(ErrorDetail(what, found, f"use trainer=cpu{others}, or a machine with enough devices"))
    if errors:
        raise ConfigError(errors)


def supply_of(kind: str) -> Supply:
    """How many devices of a kind (``gpu``, ``mps``, ``tpu``) this machine has."""
    if kind == "tpu":
        return UNKNOWN if find_spec("torch_xla") else Supply(most=0, reason="torch_xla is not installed")
    if sys.platform == "darwin":
        here = platform.machine() == "arm64"
        return UNKNOWN if here else Supply(most=0, reason="this Mac does not have Apple silicon")
    if kind == "mps":
        return Supply(most=0, reason="only Macs have MPS")
    return gpus_of(torch_build(), os.environ, driver=GPUS, rocm=ROCM.exists(), cuda=_loads(CUDA))


def gpus_of(build: str | None, environment: Mapping[str, str], *, driver: Path, rocm: bool, cuda: bool) -> Supply:
    """The GPUs that an installed torch finds.

    Args:
        build: What torch was built for: ``cuda``, ``hip`` (ROCm) or ``cpu``; None if unknown.
        environment: The environment variables.
        driver: The folder in which NVIDIA's driver lists its GPUs; not every version has one.
        rocm: Whether AMD's driver is installed.
        cuda: Whether the library of NVIDIA's driver can be loaded.
    """
    if build == "cpu":
        return Supply(most=0, reason="the installed torch is a CPU-only build")
    if build == "hip":
        return UNKNOWN if rocm else Supply(most=0, reason="no ROCm driver is installed")
    if build != "cuda":
        return UNKNOWN
    if not cuda:
        return Supply(most=0, reason="no CUDA driver is installed")
    count = len(visible_gpus(environment, driver))
    if "CUDA_VISIBLE_DEVICES" in environment:
        return Supply(0, count, f"CUDA_VISIBLE_DEVICES={environment['CUDA_VISIBLE_DEVICES']}")
    return Supply(count, count, "all GPUs of this machine") if driver.is_dir() else UNKNOWN


def visible_gpus(environment: Mapping[str, str], driver: Path = GPUS) -> tuple[str, ...]:
    """The GPUs that CUDA would find, named as in CUDA_VISIBLE_DEVICES; the arguments are those of `gpus_of`."""
    named = environment.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        return tuple(str(number) for number, _ in enumerate(driver.iterdir())) if driver.is_dir() else ()
    gpus: list[str] = []
    for name in named.split(","):
        # CUDA reads the list up to the first invalid entry.
        if not name.strip() or name.strip().startswith("-"):
            break
        gpus.append(name.strip())
    return tuple(gpus)


def torch_build() -> str | None:
    """What the installed torch was built for: ``cuda``, ``hip`` or ``cpu``; None if its files do not tell."""
    spec = find_spec("torch")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        try:
            text = (Path(place) / "version.py").read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        built = dict(re.findall(r"^(cuda|hip)\b[^=\n]*= *(.+)$", text, re.M))
        if {"cuda", "hip"} <= built.keys():
            return next((name for name in ("hip", "cuda") if built[name].strip() != "None"), "cpu")
    return None


def _demand(trainer: TrainerConfig) -> tuple[str, str] | None:
    """The kind of device that a run requires and the option that requires it; None if any device will do."""
    if trainer.accelerator in ("gpu", "mps", "tpu"):
        return trainer.accelerator, f"trainer.accelerator={trainer.accelerator}"
    attention = trainer.attention
    return ("gpu", f"trainer.attention={attention}") if attention == "flash_attention_2" else None


def _supply_of_torch(kind: str) -> Supply:
    import torch

    backends: Any = torch.backends
    mps = int(backends.mps.is_available())
    if kind == "tpu":
        return UNKNOWN
    count = mps if kind == "mps" else torch.cuda.device_count() or mps
    return Supply(count, count, "all devices that torch finds")


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True
