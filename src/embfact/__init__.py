"""embfact: how small can a transformer's token-embedding table get before accuracy suffers?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from embfact.api import Summary, compress, from_pretrained, save_pretrained, summary

__version__ = "0.1.0"
__all__ = ["Summary", "compress", "from_pretrained", "save_pretrained", "summary"]


def __getattr__(name: str) -> Any:
    """The public functions, loaded at first use: they need torch, and the command line often does not."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from embfact import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
