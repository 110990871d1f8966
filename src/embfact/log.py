"""A log.txt for each run, which also takes what libraries would write to the terminal."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Loggers that print to the terminal by default.
_CHATTY = ("pytorch_lightning", "lightning_fabric", "lightning.pytorch", "transformers", "datasets", "wandb")


@contextmanager
def run_log(directory: Path) -> Iterator[None]:
    """Send the log records and warnings of a block to ``log.txt`` of a run directory, appending.

    Warnings of embfact itself are also printed to standard error.
    """
    directory.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(directory / "log.txt", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    others, level = root.handlers[:], root.level
    terminal = logging.StreamHandler(sys.stderr)
    terminal.setLevel(logging.WARNING)
    terminal.addFilter(lambda record: record.name.startswith("embfact.") and record.levelno == logging.WARNING)
    terminal.setFormatter(logging.Formatter(f"{directory.name}: %(message)s"))
    root.handlers = [handler, terminal]
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


def say(line: str = "") -> None:
    """Print a line to standard output, above a progress bar if there is one."""
    print(line, flush=True, file=sys.stdout)


def say_error(line: str) -> None:
    """Print a line to standard error."""
    print(line, flush=True, file=sys.stderr)
