"""What tests of results share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from embfact.config.compose import read_request
from embfact.config.run_config import RunConfig


@pytest.fixture
def configured(conf: Path) -> Callable[..., RunConfig]:
    """A run's configuration from words of the command line."""

    def read(*words: str) -> RunConfig:
        (config,) = read_request(conf, ["model=bert_scratch", "data=vader", *words], False).configs
        return config

    return read
