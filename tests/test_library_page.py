"""The Python examples of README.md and docs/library.md, executed in order; they print what the page shows."""

from __future__ import annotations

import contextlib
import io
import re
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]


def execute(page: Path) -> tuple[dict[str, Any], int]:
    """Run the python blocks of a page; gives its names, and how many text blocks were compared with the output."""
    names: dict[str, Any] = {}
    printed, compared = "", 0
    for kind, text in re.findall(r"^```(python|text)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.M | re.S):
        if kind == "text":
            assert printed.rstrip() == text.rstrip()
            compared += 1
            continue
        with contextlib.redirect_stdout(io.StringIO()) as output:
            exec(compile(text, page.name, "exec"), names)
        printed = output.getvalue()
    return names, compared


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder of the test; transformers copies the code of a directory into a cache that is not the user's."""
    monkeypatch.chdir(tmp_path)
    for module in ("transformers.dynamic_module_utils", "transformers.utils.hub"):
        monkeypatch.setattr(f"{module}.HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.setattr(sys, "path", [*sys.path])


def test_the_examples_print_what_the_page_shows() -> None:
    names, compared = execute(ROOT / "docs" / "library.md")
    assert compared == 4
    assert {path.name for path in Path("small").iterdir()} >= {"config.json", "model.safetensors", "embfact_model.py"}
    assert names["classifier"].num_labels == 3


def test_the_example_of_the_readme_runs_as_it_stands() -> None:
    names, _ = execute(ROOT / "README.md")
    assert {path.name for path in Path("small").iterdir()} >= {"config.json", "model.safetensors", "tokenizer.json"}
    assert names["model"].get_input_embeddings().num_embeddings == names["tokenizer"].vocab_size
