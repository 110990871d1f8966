"""Configurations with a search, composed as a command composes them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from embfact.config.compose import read_request
from embfact.config.run_config import RunConfig


@pytest.fixture
def composed(conf: Path, tiny: list[str], tmp_path: Path) -> Callable[..., tuple[RunConfig, ...]]:
    """The configurations of ``search=lr WORDS -m`` that go to ``runs``."""

    def compose(*words: str) -> tuple[RunConfig, ...]:
        fixed = [*tiny, "search=lr", f"output_dir='{tmp_path / 'runs'}'", "rank=8"]
        return read_request(conf, [*fixed, *words], multirun=True).configs

    return compose
