"""The configuration of a run: its sections, how Hydra composes it, and what is refused."""

__all__ = ["compose", "data_config", "run_config", "sections"]
