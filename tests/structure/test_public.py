"""What is public: every package says so, and the documentation shows nothing else."""

from __future__ import annotations

import re
from importlib import import_module

import pytest

from tests.structure.measure import ROOT

PACKAGES = sorted(
    ".".join(path.parent.relative_to(ROOT / "src").parts) for path in (ROOT / "src" / "embfact").rglob("__init__.py")
)
IMPORT = re.compile(r"^ *(?:>>> )?from (embfact[\w.]*) import ([\w, ]+)", re.M)


@pytest.mark.parametrize("name", PACKAGES)
def test_a_package_says_what_is_public(name: str) -> None:
    package = import_module(name)
    for public in package.__all__:
        assert hasattr(package, public) or import_module(f"{name}.{public}"), public


def test_the_documentation_imports_what_is_public() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]
    shown = {match for page in pages for match in IMPORT.findall(page.read_text(encoding="utf-8"))}
    assert shown
    for module, names in shown - {("embfact.cli.train", "main")}:
        package, _, last = module.rpartition(".")
        assert not package or package == "embfact" or last in import_module(package).__all__, module
        assert all(hasattr(import_module(module), name.strip()) for name in names.split(",")), (module, names)
