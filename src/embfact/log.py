"""One log.txt for each run: what libraries would write to the terminal goes there."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Loggers that print by themselves unless told otherwise.
_CHATTY = ("pytorch_lightning", "lightning_fabric", "lightning.pytorch", "transformers", "datasets", "wandb")


@contextmanager
def run_log(directory: Path) -> Iterator[None]:
    """Send the log records and warnings of a block to ``log.txt`` of a run directory, appending.

    What embfact itself warns of is also printed to standard error, for whoever sits before it.
    """
    directory.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(directory / "log.txt", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    others, level = root.handlers[:], root.level
    root.handlers = [handler, _terminal(directory.name)]
    root.setLevel(logging.INFO)
    for name in _CHATTY:
        chatty = logging.getLogger(name)
        chatty.handlers, chatty.propagate = [], True
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        root.handlers, root.level = others, level
        handler.close()


def _terminal(run: str) -> logging.Handler:
    handler = logging.StreamHandler(sys.stderr)
    handler.setLevel(logging.WARNING)
    handler.addFilter(lambda record: record.name.startswith("embfact.") and record.levelno == logging.WARNING)
    handler.setFormatter(logging.Formatter(f"{run}: %(message)s"))
    return handler


def say(line: str = "") -> None:
    """Print a line for the person at the terminal, above a progress bar if there is one."""
    print(line, flush=True, file=sys.stdout)


def say_error(line: str) -> None:
    """Print a line to standard error."""
    print(line, flush=True, file=sys.stderr)
