"""What runs amount to: tables, statistics, plots, the dashboard, W&B's views."""
