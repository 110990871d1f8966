"""Fetch the rated sentences (data=movie_sentences and its siblings) into the cache now, instead of on first use.

They are a file of the source distribution vaderSentiment 0.5, downloaded from the package index configured for pip;
none of its code is run. `make install` does this once. See docs/data.md.

Examples:
  python scripts/fetch_sentences.py
  EMBFACT_CACHE_DIR=/shared/cache python scripts/fetch_sentences.py
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from embfact.cli.command_line import Parser, answer
from embfact.config.places import CONF


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns 0, or 2 if they cannot be fetched."""
    options = parser().parse_intermixed_args(arguments)
    return answer("fetch_sentences.py", lambda: _fetch(options.overrides))


def parser() -> Parser:
    """The arguments of the command."""
    made = Parser("fetch_sentences.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="paths.cache_dir=DIR, as for train.py")
    return made


def _fetch(overrides: Sequence[str]) -> None:
    from embfact.config.compose import read_request
    from embfact.data.sentence_archive import provide

    (config,) = read_request(CONF, ["data=movie_sentences", *overrides], multirun=False).configs
    print(f"rated sentences: {provide(Path(config.paths.cache_dir))}")
