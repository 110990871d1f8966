"""The notebooks: what is kept in them is what they print, and they run from a clean kernel."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.helpers.places import CONF, ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
NAMES = ["01_why_the_table_is_low_rank", "02_rank_sweep_on_sst2", "03_paper_tables", "04_add_your_own_method"]
QUICK = NAMES[0]  # trains nothing
ON_SST2 = NAMES[1:3]


def read(name: str) -> nbformat.NotebookNode:
    return nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)


def test_all_four_are_there() -> None:
    assert [path.stem for path in NOTEBOOKS] == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_they_read_well_unexecuted(name: str) -> None:
    cells = [cell for cell in read(name).cells if cell.cell_type == "code"]
    outputs = [output for cell in cells for output in cell.outputs]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert outputs
    assert not [output for output in outputs if output.output_type == "error"]
    # No path of the machine that executed it, and no warning.
    assert not re.search(r"site-packages|/home/|/root/|Warning", str(outputs))


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The notebooks beside conf/, where nothing is found that an earlier execution left."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree(CONF, folder / "conf")
    shutil.copytree(ROOT / "notebooks", folder / "notebooks")
    return folder / "notebooks"


def marks_of(name: str) -> list[pytest.MarkDecorator]:
    on_sst2 = [pytest.mark.real_data] if name in ON_SST2 else []
    return [] if name == QUICK else [pytest.mark.slow, *on_sst2]


@pytest.mark.parametrize("name", [pytest.param(name, marks=marks_of(name)) for name in NAMES])
def test_they_run_from_a_clean_kernel(name: str, copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if name in ON_SST2 and not os.environ.get("EMBFACT_DATA_DIR"):
        pytest.skip("needs EMBFACT_DATA_DIR")
    monkeypatch.setenv("PYTHONWARNINGS", "ignore")
    NotebookClient(
        read(name), timeout=600, kernel_name="python3", resources={"metadata": {"path": str(copy)}}
    ).execute()
