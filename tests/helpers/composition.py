"""What Hydra composes of the project's own files, kept: a tenth of a second each, and the same every time."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from omegaconf import flag_override

from embfact.config import compose as composition
from tests.helpers.places import CONF


@contextmanager
def composed_once() -> Iterator[None]:
    """Compose the same choices of groups once; those of a folder that a test has made are composed as ever."""
    kept: dict[tuple[str, ...], bytes] = {}

    def keeping(name: str, words: list[str], **options: Any) -> Any:
        sources = GlobalHydra.instance().config_loader().get_sources()
        if {source.path for source in sources if source.scheme() == "file"} != {str(CONF)}:
            return compose(name, words, **options)
        key = (name, *words, *sorted(options))
        if key not in kept:
            kept[key] = pickle.dumps(compose(name, words, **options))
        whole = pickle.loads(kept[key])
        with flag_override(whole, "readonly", False):
            whole.hydra.runtime.cwd = os.getcwd()  # noqa: PTH109 (as Hydra says it)
        return whole

    with mock.patch.object(composition, "compose", keeping):
        yield
