"""Results of runs: tables, statistics, plots, the dashboard and W&B views. Reads records and nothing else."""

__all__ = ["collect", "result_table"]
