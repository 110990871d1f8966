"""Factorize a token-embedding table, fine-tune, and record what it cost: see `python train.py --help`."""

import sys
from pathlib import Path

from embfact.cli.train import main
from embfact.system.terminal import as_command

if __name__ == "__main__":
    as_command(lambda: main(Path(__file__).resolve().parent / "conf", sys.argv[1:]))
