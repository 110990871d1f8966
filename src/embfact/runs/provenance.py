"""Which state of the program made a record."""

from __future__ import annotations

import platform
import subprocess
from functools import lru_cache
from pathlib import Path

from embfact import __version__
from embfact.runs.identity import RESULTS_VERSION, library_versions


@lru_cache(maxsize=1)
def git_state() -> dict[str, str | bool] | None:
    """Commit of the checkout that this package runs from and whether it was changed; None outside of a checkout."""
    here = Path(__file__).resolve().parent

    def git(*words: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(here), *words],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=True,
            timeout=10,
        )
        return done.stdout.strip()

    try:
        tracked = git("ls-files", "--error-unmatch", Path(__file__).name)
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain"))} if tracked else None
    except (OSError, subprocess.SubprocessError):
        return None


def versions() -> dict[str, str]:
    """Versions of everything that can change a result."""
    own = {"embfact": __version__, "results": str(RESULTS_VERSION), "python": platform.python_version()}
    return {**own, **library_versions()}
