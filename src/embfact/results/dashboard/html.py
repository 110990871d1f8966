"""One page that holds everything it needs: style, scripts, plotting library and data."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from importlib import resources
from typing import Any

# In this order: each uses what is above it.
SCRIPTS = ["format", "state", "items", "columns", "filters"]
SCRIPTS += ["scatter", "curves", "table", "details", "copy", "follow", "main"]
# In JSON these stand within strings alone; so written, no text can end the element that it is in, or begin another.
_ESCAPED = {character: f"\\u{ord(character):04x}" for character in "<>&"}


def page(data: Any, *, follow: bool = False) -> str:
    """The whole page.

    Args:
        data: What `payload` made.
        follow: Whether the page asks its server for news; otherwise it may not connect to anything.

    Returns:
        HTML that loads nothing: its policy allows these scripts alone, known by their hashes.
    """
    from plotly.offline import get_plotlyjs

    plotly, script = get_plotlyjs(), _script()
    hashes = " ".join(f"'sha256-{_digest(code)}'" for code in (plotly, script))
    policy = [
        "default-src 'none'",
        f"script-src {hashes}",
        "style-src 'unsafe-inline'",  # the plotting library writes styles into its elements
        "img-src data: blob:",  # and offers its picture for download
        "connect-src 'self'" if follow else "connect-src 'none'",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    parts = {
        "policy": "; ".join(policy),
        "style": _asset("style.css"),
        "data": as_json({**data, "follow": follow}),
        "plotly": plotly,
        "script": script,
    }
    # In one pass, so that nothing is looked for in what was put in.
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], _asset("page.html"))


def as_json(data: Any) -> str:
    """JSON that can stand inside an HTML element; in ASCII, so that U+2028 ends no line of a script either."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return re.sub("[<>&]", lambda found: _ESCAPED[found[0]], text)


def _script() -> str:
    """Our own code as one script, whose names are not those of the page."""
    code = "\n".join(_asset(f"{name}.js") for name in SCRIPTS)
    return f'(() => {{\n"use strict";\n{code}}})();\n'


def _asset(name: str) -> str:
    return resources.files("embfact.results.dashboard").joinpath("page", name).read_text(encoding="utf-8")


def _digest(code: str) -> str:
    return base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
