"""Weights & Biases as a view of the runs: what is logged there, and tables and workspaces made from it.

Nothing here imports ``wandb`` at import time, which takes a second.
"""

__all__: list[str] = []
