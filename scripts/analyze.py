"""`embfact analyze` from a checkout: see `python scripts/analyze.py --help`."""

from embfact.cli.analyze import main
from embfact.system.terminal import as_command

if __name__ == "__main__":
    as_command(main)
