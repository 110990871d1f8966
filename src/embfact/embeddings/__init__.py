"""The modules that stand in for a token-embedding table."""
