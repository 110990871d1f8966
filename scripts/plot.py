"""`embfact plot` from a checkout: see `python scripts/plot.py --help`."""

from embfact.cli.plot import main
from embfact.system.terminal import as_command

if __name__ == "__main__":
    as_command(main)
