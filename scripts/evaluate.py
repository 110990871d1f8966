"""`embfact evaluate` from a checkout: see `python scripts/evaluate.py --help`."""

from embfact.cli.evaluate import main
from embfact.system.terminal import as_command

if __name__ == "__main__":
    as_command(main)
