"""`embfact predict` from a checkout: see `python scripts/predict.py --help`."""

from embfact.cli.predict import main
from embfact.system.terminal import as_command

if __name__ == "__main__":
    as_command(main)
