"""What libraries would print during a run goes to its log.txt, and only then."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import pytest

from embfact.log import run_log


def test_messages_and_warnings_of_a_run_are_in_its_log(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with run_log(tmp_path / "run"):
        logging.getLogger("transformers.modeling_utils").warning("newly initialized")
        logging.getLogger("somewhere").info("a step")
        warnings.warn("an old option", UserWarning, stacklevel=1)
    text = (tmp_path / "run" / "log.txt").read_text()
    assert all(words in text for words in ("newly initialized", "a step", "an old option"))
    assert capfd.readouterr() == ("", "")


def test_a_second_run_adds_to_its_own_log_alone(tmp_path: Path) -> None:
    for name in ("a", "b", "a"):
        with run_log(tmp_path / name):
            logging.getLogger("embfact").info("run %s", name)
    assert (tmp_path / "a" / "log.txt").read_text().count("run a") == 2
    assert "run a" not in (tmp_path / "b" / "log.txt").read_text()


def test_afterwards_logging_is_as_before_even_after_a_failure(tmp_path: Path) -> None:
    root = logging.getLogger()
    before = root.handlers[:], root.level, warnings.showwarning
    with pytest.raises(RuntimeError, match="broken"), run_log(tmp_path):
        raise RuntimeError("broken")
    assert (root.handlers[:], root.level, warnings.showwarning) == before
