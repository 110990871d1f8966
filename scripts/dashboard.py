"""`embfact dashboard` from a checkout: see `python scripts/dashboard.py --help`."""

import sys

from embfact.system.terminal import end_quietly, watches

if __name__ == "__main__":
    if watches(sys.argv):
        end_quietly()  # before the other imports, which take longer than a person who has mistyped
    from embfact.cli.dashboard import main
    from embfact.system.terminal import as_command

    as_command(main)
