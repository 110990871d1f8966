"""A self-contained page: style, scripts, plotting library and data."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from importlib import resources
from typing import Any

# In dependency order.
SCRIPTS = [
    "format",
    "state",
    "keys",
    "looks",
    "legend",
    "items",
    "columns",
    "picker",
    "ranges",
    "filters",
    "axes",
    "scatter",
]
SCRIPTS += ["curves", "table", "importance", "parallel", "details", "copy", "address", "follow", "main"]
# In JSON these occur only in strings; escaped, no text can end the element around it or start another.
_ESCAPED = {character: f"\\u{ord(character):04x}" for character in "<>&"}


def page(data: Any, *, follow: bool = False) -> str:
    """The whole page, which loads nothing: its policy allows only these scripts, by their hashes.

    Args:
        data: The result of `payload`.
        follow: Whether the page polls its server; otherwise it cannot connect to anything.
    """
    from plotly.offline import get_plotlyjs

    plotly, script = get_plotlyjs(), _script()
    digests = (hashlib.sha256(code.encode()).digest() for code in (plotly, script))
    hashes = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    policy = [
        "default-src 'none'",
        f"script-src {hashes}",
        "style-src 'unsafe-inline'",  # the plotting library writes styles into its elements
        "img-src data: blob:",  # and offers the plot for download
        "connect-src 'self'" if follow else "connect-src 'none'",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    parts = {
        "policy": "; ".join(policy),
        "style": _asset("style.css"),
        "data": as_json({**data, "follow": follow}),
        # A third of its size; no date is kept, so that the same runs give the same page.
        "plotly": base64.b64encode(gzip.compress(plotly.encode(), mtime=0)).decode(),
        "script": script,
    }
    # In one pass, so that the inserted parts are not searched.
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], _asset("page.html"))


def as_json(data: Any) -> str:
    """JSON that is safe inside an HTML element; ASCII, so that U+2028 cannot end a line of a script either."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return re.sub("[<>&]", lambda found: _ESCAPED[found[0]], text)


def _script() -> str:
    """The code of the page as one script with its own scope."""
    code = "\n".join(_asset(f"{name}.js") for name in SCRIPTS)
    return f'(() => {{\n"use strict";\n{code}}})();\n'


def _asset(name: str) -> str:
    return resources.files("embfact.results.dashboard").joinpath("page", name).read_text(encoding="utf-8")
