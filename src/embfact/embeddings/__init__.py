"""Modules that replace a token-embedding table."""
