"""Write a sweep as one interactive page that needs no network, or serve the page and follow the sweep.

Examples:
  python scripts/dashboard.py outputs/methods_sst2 -o sweep.html
  python scripts/dashboard.py outputs/methods_sst2 --watch
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from embfact.cli.command_line import Parser, add_directories, answer, check_output, write_output
from embfact.errors import UserError

OUTPUT, PORT = Path("sweep.html"), 8000


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns 0, or 2 if the input or the output cannot be used."""
    options = parser().parse_args(arguments)
    return answer("dashboard.py", lambda: _watch(options) if options.watch else _write(options))


def parser() -> Parser:
    """The arguments of the command."""
    made = Parser("dashboard.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_directories(made)
    made.add_argument("-o", "--output", type=Path, metavar="FILE", help=f"the page (default: {OUTPUT})")
    made.add_argument("--watch", action="store_true", help="serve the page on this machine and follow the sweep")
    made.add_argument("--port", type=_port, help=f"port of --watch (default: {PORT}); 0 for a free one")
    return made


def _write(options: argparse.Namespace) -> None:
    from embfact.results.dashboard.html import page
    from embfact.results.dashboard.payload import payload
    from embfact.results.dashboard.sweep import read_sweep

    if options.port is not None:
        raise UserError("--port needs --watch; leave it out, or add --watch")
    path = options.output or OUTPUT
    check_output(path)
    if path.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"--output must end in .html (found {path}); other files are not replaced by a page")
    write_output(path, page(payload(read_sweep(options.directories))))


def _watch(options: argparse.Namespace) -> None:
    from embfact.results.dashboard.server import serve

    if options.output is not None:
        raise UserError("--watch serves the page and writes no file; leave out --output or --watch")
    serve(options.directories, PORT if options.port is None else options.port)


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port; give a number from 0 to 65535")
    return int(text)
