"""Create workspace and report of a W&B project: accuracy against size, method, rank and seed; learning curves.

Example: ``python scripts/wandb_workspace.py me/embfact --dry-run``
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from embfact.cli.command_line import Parser, answer
from embfact.results.wandb import layout
from embfact.results.wandb.access import project_of
from embfact.results.wandb.values import SCORE


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns 0, or 2 if the command was refused."""
    options = parser().parse_args(arguments)

    def work() -> None:
        project = project_of(options.project)
        if options.dry_run:
            print(json.dumps(layout.specification(project, options.metric), indent=2, sort_keys=True))
            return
        for name, address in zip(("workspace", "report"), layout.save(project, options.metric), strict=True):
            print(f"{name}: {address}")

    return answer("wandb_workspace.py", work)


def parser() -> Parser:
    """The arguments of the command."""
    made = Parser("wandb_workspace.py", description="Workspace and report of a W&B project.")
    made.add_argument("project", metavar="ENTITY/PROJECT", help="the W&B project, as in its URL")
    made.add_argument(
        "--metric", default=SCORE, help="summary value to plot, e.g. validation/accuracy (default: each run's score)"
    )
    made.add_argument("--dry-run", action="store_true", help="print the request as JSON; needs no network and no key")
    return made
