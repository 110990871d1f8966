"""The code hangs together as docs/architecture.md says: no circles, nothing imports upward."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.structure.measure import ROOT, Code


@pytest.fixture(scope="module")
def code() -> Code:
    return Code()


def test_no_module_imports_itself_by_way_of_others(code: Code) -> None:
    assert code.circles() == []


def test_no_two_packages_import_each_other(code: Code) -> None:
    assert code.mutual_packages() == []


def test_nothing_imports_upward() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    if not linter.exists() and not shutil.which("lint-imports"):
        pytest.skip("import-linter is not installed")
    done = subprocess.run([linter], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout


def test_from_the_command_to_the_training_loop_in_few_steps(code: Code) -> None:
    way = code.walk("embfact.cli.train.main")
    assert way[-1] == "trainer.fit"
    assert len(way) <= 7
    assert len({step.rpartition(".")[0] for step in way[:-1]}) + 1 <= 4


def test_few_files_lie_flat(code: Code) -> None:
    assert len([name for name in code.modules if name.count(".") == 1]) + 1 <= 8


def test_the_folders_of_the_tests_are_those_of_the_package() -> None:
    wings = {path.name for path in (ROOT / "src" / "embfact").iterdir() if path.is_dir()}
    folders = {path.name for path in (ROOT / "tests").iterdir() if any(path.glob("**/test_*.py"))}
    assert folders - wings == {"benchmarks", "docs", "structure"}


def test_what_folders_of_the_tests_share_lies_in_helpers() -> None:
    shared = re.compile(r"^ *(?:from|import) tests\.([\w.]+)", re.M)
    for path in (ROOT / "tests").rglob("*.py"):
        here = ".".join(path.relative_to(ROOT / "tests").parent.parts)
        for module in shared.findall(path.read_text(encoding="utf-8")):
            assert not module.endswith("conftest"), path
            assert module.startswith(("helpers.", f"{here}.")) or module == here, (path, module)


def test_an_upward_import_and_a_circle_are_found(tmp_path: Path) -> None:
    package = tmp_path / "embfact"
    for name, text in {
        "a/one": "from embfact.b.two import x",
        "b/two": "def f():\n    from embfact.a.one import y",
    }.items():
        file = package / f"{name}.py"
        file.parent.mkdir(parents=True)
        file.write_text(text)
        (file.parent / "__init__.py").touch()
    (package / "__init__.py").touch()
    found = Code(tmp_path)
    assert found.circles() == [["embfact.a.one", "embfact.b.two"]]
    assert found.mutual_packages() == [("a", "b")]
