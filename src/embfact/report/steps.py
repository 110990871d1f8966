"""The progress of a report: a bar on a terminal, plain lines elsewhere.

Light to import.
"""

from __future__ import annotations

import sys

from tqdm import tqdm


class Steps:
    """Steps that are counted as they become known; on standard error."""

    def __init__(self) -> None:
        # disable=None: no bar if standard error is not a terminal.
        options = {"disable": None, "leave": False, "dynamic_ncols": True, "file": sys.stderr}
        self._bar = tqdm(total=0, bar_format="{desc} |{bar}| {elapsed}", **options)

    def expect(self, steps: int) -> None:
        """Add steps to come; a negative number takes back those that were not needed."""
        if not self._bar.disable:
            self._bar.total += steps
            self._bar.refresh()

    def begin(self, name: str) -> None:
        """Say what is being done now."""
        if self._bar.disable:
            print(name, file=sys.stderr, flush=True)
        else:
            self._bar.set_description_str(name)

    def done(self, line: str = "") -> None:
        """End a step; `line` says what it gave, for readers without a bar."""
        if not self._bar.disable:
            self._bar.update()
        if line:
            self.begin(line)

    def close(self) -> None:
        """Remove the bar."""
        self._bar.close()
