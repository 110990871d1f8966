"""Where the seconds of a run went: ``profile=true``."""
