"""Output to the terminal, and to a log.txt for each run, which also takes what libraries would print."""

from __future__ import annotations

import logging
import re
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


def as_called(text: str) -> str:
    """A message with commands as the reader types them, ``embfact train`` once installed, and pages where they are."""
    if not Path(sys.argv[0]).name.startswith("embfact"):
        return text
    text = re.sub(r"(?<![\w/])(?:python )?train\.py", "embfact train", text)
    text = re.sub(r"(?<![\w/])(docs/\w+\.md)", r"https://github.com/embfact/embfact/blob/main/\1", text)
    return re.sub(
        r"(?<![\w/])(?:python )?scripts/(\w+)\.py", lambda found: f"embfact {found[1].replace('_', '-')}", text
    )


def say(line: str = "") -> None:
    """Print a line to standard output, above a progress bar if there is one."""
    print(as_called(line), flush=True, file=sys.stdout)


def say_error(line: str) -> None:
    """Print a line to standard error."""
    print(as_called(line), flush=True, file=sys.stderr)
