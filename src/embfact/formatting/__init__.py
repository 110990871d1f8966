"""How numbers, sizes and plain tables are written for a person."""
