"""Where pip looks for packages on this machine, and how it reaches those places.

Light to import. pip itself is asked (``pip config list``): it knows its files, their order and the environment.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from urllib.parse import urlsplit

PYPI = "https://pypi.org/simple"
SECTIONS = (":env:", "install", "global")  # the first that has a key wins, as for `pip install`
SECONDS_TO_ANSWER = 60  # of pip
_LINE = re.compile(r"(?P<section>:env:|\w+)\.(?P<key>[\w-]+)=(?P<value>.*)")


@dataclass(frozen=True)
class PipSettings:
    """Where and how to look for a file of a release.

    Attributes:
        find_links: Folders, or pages with links, in their order.
        indexes: Roots of package indexes, in their order; none with ``no-index``.
        proxy: URL of the proxy; None: that of the environment.
        certificates: File or folder of trusted authorities; None: those of the environment.
        client_certificate: File with this machine's certificate; None: none.
        trusted_hosts: Hosts whose certificate is not checked, ``host`` or ``host:port``.
    """

    find_links: tuple[str, ...] = ()
    indexes: tuple[str, ...] = (PYPI,)
    proxy: str | None = None
    certificates: str | None = None
    client_certificate: str | None = None
    trusted_hosts: tuple[str, ...] = ()

    def trusts(self, url: str) -> bool:
        """Whether the host of a URL is trusted without a certificate."""
        parts = urlsplit(url)
        return not {str(parts.hostname), f"{parts.hostname}:{parts.port}"}.isdisjoint(self.trusted_hosts)


def read_pip_settings() -> PipSettings:
    """The settings of this Python's pip; without pip, those of ``PIP_*`` in the environment."""
    found = _asked_of_pip()
    if found is None:
        found = {
            (":env:", name.removeprefix("PIP_").lower().replace("_", "-")): value
            for name, value in os.environ.items()
            if name.startswith("PIP_")
        }

    def value(key: str) -> str:
        return next((found[section, key] for section in SECTIONS if (section, key) in found), "").strip()

    without_index = value("no-index").lower() in ("1", "true", "yes", "on", "t", "y")
    # pip reads no other variables; other HTTP clients use these.
    bundles = [os.environ.get(name) for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")]
    return PipSettings(
        find_links=tuple(value("find-links").split()),
        indexes=() if without_index else (value("index-url") or PYPI, *value("extra-index-url").split()),
        proxy=value("proxy") or None,
        certificates=value("cert") or next(filter(None, bundles), None),
        client_certificate=value("client-cert") or None,
        trusted_hosts=tuple(value("trusted-host").split()),
    )


def _asked_of_pip() -> dict[tuple[str, str], str] | None:
    command = [sys.executable, "-m", "pip", "config", "list"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS_TO_ANSWER, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    matches = filter(None, map(_LINE.fullmatch, done.stdout.splitlines()))
    return {(match["section"], match["key"]): ast.literal_eval(match["value"]) for match in matches}
