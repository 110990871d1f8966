"""Factorize a token-embedding table, fine-tune, and record what it cost: see `python train.py --help`."""

import sys
from pathlib import Path

from embfact.system.terminal import as_command, end_at_once

if __name__ == "__main__":
    end_at_once()
    from embfact.cli.train import main

    as_command(lambda: main(Path(__file__).resolve().parent / "conf", sys.argv[1:]))
