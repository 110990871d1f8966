"""`embfact runs` from a checkout: see `python scripts/runs.py --help`."""

from embfact.cli.runs import main
from embfact.system.terminal import as_command

if __name__ == "__main__":
    as_command(main)
