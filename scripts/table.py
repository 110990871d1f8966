"""`embfact table` from a checkout: see `python scripts/table.py --help`."""

from embfact.cli.table import main
from embfact.system.terminal import as_command

if __name__ == "__main__":
    as_command(main)
