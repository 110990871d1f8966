"""Places given by a URL, through fsspec: object stores, other machines, file:// and memory://.

Light to import: fsspec itself comes with the first place that is opened.
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
    """A place that a URL names cannot be reached, read or written; the message says why and what to do."""


def is_url(place: str | Path) -> bool:
    """Whether a place is given by a URL, such as ``s3://bucket/sweep``; a path is none."""
    return "://" in str(place)


def url_error(option: str, url: str) -> ErrorDetail | None:
    """What is wrong with a URL before anything is sent there: no URL, no such protocol, no package for it.

    Args:
        option: The option that it was given to.
        url: The URL.
    """
    if not is_url(url):
        return ErrorDetail(f"{option} must be a URL", url, f"for a folder write file://{Path(url).absolute()}")
    try:
        with opened(url):
            return None
    except RemoteError as error:
        return ErrorDetail(f"{option} cannot be used", url, str(error))


@contextmanager
def opened(url: str) -> Iterator[tuple[AbstractFileSystem, str]]:
    """The file system of a URL and the path in it; every error in the block becomes words.

    Raises:
        RemoteError: Whatever went wrong: the kinds of failure are each service's own.
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
        raise RemoteError(f"{url}: access denied ({_describe(error)}); see the credentials and permissions") from error
    except Exception as error:
        if isinstance(error, ValueError) and "Protocol not known" in str(error):
            protocol = url.partition("://")[0]
            remedy = "use file://, s3://, gs://, abfs://, sftp:// or another that fsspec knows"
            raise RemoteError(f"{url}: there is no protocol {protocol!r}; {remedy}") from error
        raise RemoteError(
            f"{url} cannot be used ({_describe(error)}); see the URL, the network and the service"
        ) from error


def _describe(error: Exception) -> str:
    text = (str(error).strip() or "no reason given").splitlines()[0][:200]
    return f"{type(error).__name__}: {text}"
