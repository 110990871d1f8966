"""`embfact trim` from a checkout: see `python scripts/trim.py --help`."""

from embfact.cli.trim import main
from embfact.system.terminal import as_command

if __name__ == "__main__":
    as_command(main)
