"""``train.py``, stopped at a chosen point of a chosen phase until somebody ends it.

    python paused.py MARKER PHASE WORDS...

Stops the first time that PHASE is reached, and there at the first file that is about to be put in its place, so that
whoever ends the process finds the temporary file and nothing else; in phases that write none, at their beginning.
Creates the file MARKER when it has stopped. PHASE ``none`` never stops.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

from embfact.cli.train import main
from embfact.runs.life import Life
from embfact.system import signals
from embfact.system.signals import leave

WRITING = ("caching", "checkpointing", "evaluating", "recording")
CONF = Path(__file__).resolve().parents[2] / "conf"


def pause_in(phase: str, marker: Path) -> None:
    """Have this process stop in a phase."""
    enter, rename = Life.enter, os.replace
    seen: list[str] = []

    def pause() -> None:
        marker.touch()
        deadline = time.monotonic() + 120
        # A signal that is held back until the step is done lets it go on; any other ends it here.
        while signals.requested() is None and time.monotonic() < deadline:
            time.sleep(0.02)

    def entering(life: Life, name: Any) -> None:
        enter(life, name)
        seen.append(name)
        # A training is stopped in its middle: it is entered again after every checkpoint.
        if phase == name and ((name not in WRITING and name != "training") or seen.count("training") == 3):
            pause()

    def renaming(source: Any, target: Any, **options: Any) -> None:
        if seen and seen[-1] == phase and phase in WRITING and Path(target).name != "status.json":
            pause()
        rename(source, target, **options)

    Life.enter = entering  # type: ignore[method-assign]
    os.replace = renaming  # type: ignore[assignment]


if __name__ == "__main__":
    pause_in(sys.argv[2], Path(sys.argv[1]))
    leave(main(CONF, sys.argv[3:]))
