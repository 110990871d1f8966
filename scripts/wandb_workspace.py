"""`embfact wandb-workspace` from a checkout: see `python scripts/wandb_workspace.py --help`."""

from embfact.cli.wandb_workspace import main
from embfact.system.terminal import as_command

if __name__ == "__main__":
    as_command(main)
