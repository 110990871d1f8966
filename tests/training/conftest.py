"""What tests of training share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from embfact.config.compose import read_request
from embfact.config.run_config import RunConfig


@pytest.fixture
def config(conf: Path) -> Callable[..., RunConfig]:
    """The configuration of a command."""

    def compose(*words: str) -> RunConfig:
        small = ["trainer=cpu", "logger=none", "trainer.batch_size=8", "trainer.eval_batch_size=8", "optimizer.lr=1e-2"]
        (config,) = read_request(conf, [*small, *words], multirun=False).configs
        return config

    return compose
