"""The wheel as somebody has it who installs embfact: no checkout, another folder, the command alone."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = [
    "train",
    "table",
    "plot",
    "dashboard",
    "report",
    "analyze",
    "factorize",
    "evaluate",
    "predict",
    "runs",
    "wandb-workspace",
]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--quiet", "-w", folder, ROOT]
    subprocess.run(build, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def command(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``embfact`` in an environment that has the wheel, and what it depends on from the environment of the tests."""
    place = tmp_path_factory.mktemp("environment")
    venv.create(place, with_pip=False)
    (packages,) = place.glob("lib/python*/site-packages")
    # A line of a .pth file gives the packages there, and not what is installed there in editable mode.
    ours = [path for path in sys.path if path.endswith("site-packages")]
    (packages / "dependencies.pth").write_text("\n".join(ours))
    pip = [sys.executable, "-m", "pip", "--python", place / "bin" / "python"]
    subprocess.run([*pip, "install", "--no-deps", "--quiet", wheel], check=True, capture_output=True)
    return place / "bin" / "embfact"


def run(command: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run([command, *arguments], cwd=folder, env=environment, capture_output=True, text=True)


def test_what_a_wheel_holds(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {f"embfact/{path.relative_to(ROOT)}" for path in (ROOT / "conf").rglob("*.yaml")} <= names
    package = ROOT / "src" / "embfact"
    sources = {path for path in package.rglob("*") if path.suffix in (".py", ".js", ".html", ".css")}
    assert {f"embfact/{path.relative_to(package)}" for path in sources} <= names
    assert not [name for name in names if name.startswith(("tests", "scripts", "benchmarks"))]


def test_every_command_is_listed(command: Path, tmp_path: Path) -> None:
    listed = run(command, tmp_path, "--help").stdout.split()
    assert set(COMMANDS) <= set(listed)


def test_help_and_remedies_name_the_command(command: Path, tmp_path: Path) -> None:
    shown = run(command, tmp_path, "runs", "--help").stdout
    assert "usage: embfact runs" in shown
    assert "  embfact runs list " in shown
    assert ".py" not in shown
    refused = run(command, tmp_path, "table", "--nonsense")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.endswith("see embfact table --help\n")


def test_a_run_from_an_empty_folder(command: Path, tmp_path: Path) -> None:
    done = run(command, tmp_path, "train", "factorization=svd", "rank=64", "data=vader", "debug=fast", "logger=none")
    assert done.returncode == 0, done.stderr
    (written,) = (tmp_path / "outputs" / "debug").iterdir()
    _, embedding, model, *_, last = done.stdout.splitlines()
    assert last == f"wrote {written.relative_to(tmp_path)}"
    assert embedding.startswith("embedding: 1.98M (16.9%) parameters, 7.91MB (16.9%)")
    assert model.startswith("model: 13.0M ")
    table = run(command, tmp_path, "table", "outputs/debug")
    assert "svd" in table.stdout, table.stderr
