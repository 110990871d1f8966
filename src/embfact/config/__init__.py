"""The configuration of a run: its sections, how Hydra composes it, and what is refused."""
