"""Drop tokens of a pretrained model from its table and its tokenizer: the result needs no code of embfact.

Examples:
  python scripts/trim.py model=minilm data=imdb min_count=1 output=small
  python scripts/trim.py model=minilm evidence.source=letters.txt size=8000 output=small
  python scripts/trim.py model.name_or_path=FacebookAI/xlm-roberta-base script=Latin+Greek output=european

Which tokens are kept, by all of the criteria that are given:
  size=N         so many tokens in all, exactly: the most frequent ones
  min_count=N    tokens that occur at least so often
  script=A+B     tokens of these Unicode scripts: Latin, Cyrillic, Greek, Arabic, Han, ...
Special tokens, letters (of the scripts) and bytes are always kept: any other word is spelled with smaller pieces.

Takes these overrides of train.py:
  model=NAME, model.name_or_path=ID_OR_DIRECTORY, model.tokenizer=   the model
  data=NAME, evidence.source=FILE                                    texts whose tokens are counted
  seed=, trainer.threads=, paths.*
and one more:
  output=DIR     folder to write: the model, its tokenizer, and trimming.json with old_ids, the old id of each new one

Exit codes: 0; 2 if the command was refused and nothing was written.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from embfact.cli.command_line import Parser, answer
from embfact.compression.trim_report import FORMATS
from embfact.config.places import CONF


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns 0, or 2 if it was refused."""
    options = parser().parse_intermixed_args(arguments)
    return answer("trim.py", lambda: _trim(options))


def parser() -> Parser:
    """The arguments of the command."""
    made = Parser("trim.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="see above")
    made.add_argument("--format", choices=list(FORMATS), default="md", help="format of the figures: md or json")
    return made


def _trim(options: argparse.Namespace) -> None:
    # Hydra and torch are imported only for a valid command line.
    from embfact.compression.trim_request import read_trim_request
    from embfact.runs.preflight import check_downloads

    request = read_trim_request(CONF, options.overrides)
    check_downloads([request.config])
    from embfact.compression.trim import trim

    done = trim(request, _say)
    sys.stdout.write(FORMATS[options.format](done))
    _say(f"wrote {request.output}")


def _say(line: str) -> None:
    """Print a line to standard error, so that the figures can be piped."""
    print(line, file=sys.stderr, flush=True)
