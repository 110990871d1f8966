"""Tables of runs: what stands in a cell, what stands below, and the formats."""
