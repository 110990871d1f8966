"""`embfact report` from a checkout: see `python scripts/report.py --help`."""

from embfact.cli.report import main
from embfact.system.terminal import as_command

if __name__ == "__main__":
    as_command(main)
