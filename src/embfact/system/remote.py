"""URLs, through fsspec: object stores, other machines, file:// and memory://.

Light to import: fsspec is imported when the first URL is opened.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from embfact.errors import ErrorDetail, UserError

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem


class RemoteError(UserError):
    """A URL cannot be reached, read or written; the message says why and what to do."""


def is_url(place: str | Path) -> bool:
    """Whether a place is a URL, such as ``s3://bucket/sweep``, rather than a path."""
    return "://" in str(place)


def url_error(option: str, url: str) -> ErrorDetail | None:
    """What is wrong with the URL given for an option: not a URL, an unknown protocol, or a missing package."""
    if not is_url(url):
        return ErrorDetail(f"{option} must be a URL", url, f"for a folder use file://{Path(url).absolute()}")
    try:
        with opened(url):
            return None
    except RemoteError as error:
        return ErrorDetail(f"{option} cannot be used", url, str(error))


@contextmanager
def opened(url: str) -> Iterator[tuple[AbstractFileSystem, str]]:
    """The file system of a URL and the path in it.

    Raises:
        RemoteError: For any error in the block: every service has its own exceptions.
    """
    from fsspec.core import url_to_fs

    try:
        system, root = url_to_fs(url)
        yield system, root.rstrip("/")
    except UserError:
        raise
    except ImportError as error:
        package = getattr(error.__cause__ or error, "name", None)
        remedy = f"pip install {package}" if package else str(error)
        raise RemoteError(f"{url} needs a package that is not installed; {remedy}") from error
    except PermissionError as error:
        raise RemoteError(f"{url}: access denied ({_describe(error)}); check credentials and permissions") from error
    except Exception as error:
        if isinstance(error, ValueError) and "Protocol not known" in str(error):
            protocol = url.partition("://")[0]
            remedy = "use file://, s3://, gs://, abfs://, sftp:// or another one that fsspec supports"
            raise RemoteError(f"{url}: unknown protocol {protocol!r}; {remedy}") from error
        raise RemoteError(
            f"{url} cannot be used ({_describe(error)}); check the URL, the network and the service"
        ) from error


def _describe(error: Exception) -> str:
    text = (str(error).strip() or "no reason given").splitlines()[0][:200]
    return f"{type(error).__name__}: {text}"
