"""`embfact fetch-sentences` from a checkout: see `python scripts/fetch_sentences.py --help`."""

from embfact.cli.fetch_sentences import main
from embfact.system.terminal import as_command

if __name__ == "__main__":
    as_command(main)
