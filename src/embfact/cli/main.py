"""The installed command ``embfact``: one subcommand for each command line of this package.

Light to import: a subcommand is imported when it is called.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

from embfact import __version__
from embfact.cli.completion import complete, script
from embfact.config.places import CONF
from embfact.errors import nearest
from embfact.system.terminal import as_command, end_at_once, end_quietly, watches

COMMANDS = {
    "train": "fine-tune one model, or a sweep of them (-m), and record accuracy against size",
    "runs": "list, show, retry and prune runs",
    "table": "the table of a sweep: Markdown, LaTeX, CSV, HTML, JSON",
    "plot": "plots of a sweep: SVG, PNG, PDF",
    "dashboard": "a sweep as one interactive page, or followed while it runs",
    "report": "table, statistics, plots, dashboard and analysis of a sweep in one folder",
    "analyze": "what a token table holds, and what factorizing or training leaves of it",
    "factorize": "make the table of a pretrained model smaller without training",
    "trim": "drop tokens from a pretrained model and its tokenizer",
    "evaluate": "score a finished run on its own data set, or on another",
    "predict": "label new text with a finished run",
    "fetch-sentences": "fetch the sentences of data=movie_sentences now, not on first use",
    "wandb-workspace": "workspace and report of a W&B project",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line of ``embfact``; gives its exit code, 2 if there is no such command."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    command, rest = (words[0], words[1:]) if words else ("--help", [])
    if command in ("-h", "--help", "help"):
        print(_usage())
        return 0
    if command in ("-V", "--version"):
        print(f"embfact {__version__}")
        return 0
    if command == "completion":
        return script(rest)
    if command == "__complete":  # what the script of `completion` calls
        print("\n".join(complete(rest, COMMANDS)))
        return 0
    if command not in COMMANDS:
        print(f"embfact: there is no command {command!r}; {nearest(command, COMMANDS)}", file=sys.stderr)
        return 2
    if command == "dashboard" and watches(rest):
        end_quietly()
    sys.argv[0] = f"embfact {command}"  # for the help and the remedies of the command
    called = import_module(f"embfact.cli.{command.replace('-', '_')}").main
    return int(called(CONF, rest) if command == "train" else called(rest))


def entry() -> None:
    """The entry point of the installed command."""
    if sys.argv[1:2] == ["train"]:
        end_at_once()
    as_command(main)


def _usage() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {what}" for name, what in COMMANDS.items()]
    return "\n".join(
        [
            "How small can a transformer's token-embedding table get before accuracy suffers?",
            "",
            "usage: embfact COMMAND ...",
            "",
            *lines,
            "",
            "embfact COMMAND --help tells what a command takes. The first sweep:",
            "  embfact train factorization=svd rank=64,128,256 -m",
            "Completion of commands, groups and options in a shell:",
            '  eval "$(embfact completion bash)"    (or zsh)',
        ]
    )
