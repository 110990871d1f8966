"""Commands that signals are the way to end: quietly, with 0, at any moment.

Light to import: the standard library only, for whoever presses Ctrl-C while the rest is still imported.
"""

from __future__ import annotations

import os
import signal


def end_quietly() -> None:
    """From now on SIGINT and SIGTERM end this process at once with 0: it writes nothing that could be lost."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:  # what is ignored from the start is for others
            signal.signal(number, _leave)


def watches(words: list[str]) -> bool:
    """Whether the words of ``dashboard`` ask to follow a sweep (``--watch``, as short as argparse takes it)."""
    return any(len(word) > 2 and "--watch".startswith(word) for word in words)


def _leave(*_: object) -> None:
    try:
        if os.isatty(1):
            os.write(1, b"\n")  # the prompt begins a line
    finally:
        os._exit(0)
