"""Weights & Biases as a view of the runs: what a run carries there, and what is made of it.

Nothing here imports ``wandb`` before it is asked for something: it takes a second.
"""
