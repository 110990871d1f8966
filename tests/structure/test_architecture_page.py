"""docs/architecture.md names wings, files and functions that exist."""

from __future__ import annotations

import re
import tomllib

from tests.structure.measure import ROOT, Code

PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
SOURCE = ROOT / "src" / "embfact"


def test_every_file_and_function_of_the_calls_exists() -> None:
    functions = Code().functions
    named = re.findall(r"`([\w/]+)\.py` `(\w+)`", PAGE)
    assert len(named) >= 10
    for file, function in named:
        assert f"embfact.{file.replace('/', '.')}.{function}" in functions, (file, function)


def test_every_wing_is_drawn_and_every_drawn_one_exists() -> None:
    picture = PAGE.split("```")[1]
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]
    wings = {name.strip() for layer in contract["layers"] for name in layer.split("|")} - {"errors", "log"}
    drawn = {word for word in wings if re.search(rf"(^|\s){word}(\s|$)", picture, re.M)}
    assert drawn == wings
    assert all((SOURCE / wing).is_dir() or (SOURCE / f"{wing}.py").is_file() for wing in wings)


def test_every_path_that_says_where_to_change_something_exists() -> None:
    for path in re.findall(r"`((?:src|conf|tests)/[\w/.]+)`", PAGE):
        assert (ROOT / path).exists() or "NAME" in path, path
