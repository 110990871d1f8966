"""`embfact factorize` from a checkout: see `python scripts/factorize.py --help`."""

from embfact.cli.factorize import main
from embfact.system.terminal import as_command

if __name__ == "__main__":
    as_command(main)
