"""embfact: how small can a transformer's token-embedding table get before accuracy suffers?"""

__version__ = "0.1.0"
