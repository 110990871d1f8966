"""Where pip looks for packages on this machine, and how it reaches those places.

Light to import. pip is asked itself (``pip config list``), which knows its files, their order and the environment.
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
SECTIONS = (":env:", "install", "global")  # the first that has a key counts, as for `pip install`
SECONDS_TO_ANSWER = 60  # of pip
_LINE = re.compile(r"(?P<section>:env:|\w+)\.(?P<key>[\w-]+)=(?P<value>.*)")


@dataclass(frozen=True)
class PipSettings:
    """What decides where a file of a release is looked for.

    Attributes:
        find_links: Folders, or pages with links, in their order.
        indexes: Roots of package indexes, in their order; none with ``no-index``.
        proxy: URL of the proxy; None: that of the environment.
        certificates: File or folder of trusted authorities; None: those of the environment.
        client_certificate: File that this machine shows; None: none.
        trusted_hosts: Hosts whose certificate is not looked at, ``host`` or ``host:port``.
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
    """The settings of the pip of this Python; without a pip, those of ``PIP_*`` in the environment."""
    found = _asked_of_pip()
    return _settings(_in_the_environment() if found is None else found)


def _settings(found: dict[tuple[str, str], str]) -> PipSettings:
    def value(key: str) -> str:
        return next((found[section, key] for section in SECTIONS if (section, key) in found), "").strip()

    indexes = () if _is_true(value("no-index")) else (value("index-url") or PYPI, *value("extra-index-url").split())
    return PipSettings(
        find_links=tuple(value("find-links").split()),
        indexes=indexes,
        proxy=value("proxy") or None,
        # pip reads no other variables; everything else that speaks HTTP has one of these.
        certificates=value("cert") or _first_of_environment("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"),
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


def _in_the_environment() -> dict[tuple[str, str], str]:
    keys = {name: name.removeprefix("PIP_").lower().replace("_", "-") for name in os.environ if name[:4] == "PIP_"}
    return {(":env:", key): os.environ[name] for name, key in keys.items()}


def _first_of_environment(*names: str) -> str | None:
    return next((os.environ[name] for name in names if os.environ.get(name)), None)


def _is_true(word: str) -> bool:
    return word.lower() in ("1", "true", "yes", "on", "t", "y")
