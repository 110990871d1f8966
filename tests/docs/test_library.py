"""The examples of docs/library.md, executed in their order; what they print is what the page shows."""

from __future__ import annotations

import contextlib
import io
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.places import ROOT

PAGE = ROOT / "docs" / "library.md"
BLOCKS = re.findall(r"^```(python|text)\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.M | re.S)


def test_the_examples_print_what_the_page_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    # transformers copies the code of a directory into a cache, and that is not the user's here.
    for module in ("transformers.dynamic_module_utils", "transformers.utils.hub"):
        monkeypatch.setattr(f"{module}.HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.setattr(sys, "path", [*sys.path])
    names: dict[str, Any] = {}
    printed, compared = "", 0
    for kind, text in BLOCKS:
        if kind == "text":
            assert printed.rstrip() == text.rstrip()
            compared += 1
            continue
        with contextlib.redirect_stdout(io.StringIO()) as output:
            exec(compile(text, PAGE.name, "exec"), names)
        printed = output.getvalue()
    assert compared == 4
    assert {path.name for path in Path("small").iterdir()} >= {"config.json", "model.safetensors", "embfact_model.py"}
    assert names["classifier"].num_labels == 3
