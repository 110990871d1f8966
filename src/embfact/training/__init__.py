"""One run, start to end: from its configuration to its record."""
