"""Numbers, sizes and plain tables for a human reader."""
