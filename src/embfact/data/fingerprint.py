"""Where the rows of a data set come from, and a fingerprint of exactly those bytes.

Light to import (no torch, no pyarrow): a run is identified by its fingerprints before anything heavy is loaded.
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from embfact.config.data_config import DataConfig
from embfact.data.sentence_archive import provide
from embfact.errors import DataError, nearest
from embfact.system.digest import file_digest

SECONDS_TO_ANSWER = 10  # of the hub


@dataclass(frozen=True)
class Origin:
    """Where a data set was found.

    Attributes:
        kind: The local mirror, the hub, the user's files, the packaged vader lexicon, or the rated sentences.
        words: The origin for a human reader, without paths that only this machine has.
        files: The file of each split (the one file of the lexicon under ``"lexicon"``, that of rated sentences under
            their collection); empty for the hub.
        commit: Commit of the hub data set; None otherwise.
    """

    kind: Literal["mirror", "hub", "files", "vader", "rated_sentences"]
    words: str
    files: Mapping[str, Path] = field(default_factory=dict)
    commit: str | None = None


def locate(
    data: DataConfig, data_dir: str | None, splits: Iterable[str] | None = None, *, cache_dir: str | None = None
) -> Origin:
    """Find where the splits of a data set are.

    The local mirror takes precedence over the hub if it has every requested split.

    Args:
        data: The data set.
        data_dir: Folder of the local mirror, or None.
        splits: The requested splits; None: the training and the report splits.
        cache_dir: Folder that the rated sentences are fetched into; other data sets need none.

    Raises:
        DataError: If a file does not exist; if neither mirror nor hub nor the hub's cache has the data set; or if the
            rated sentences can neither be found nor fetched.
    """
    needed = list(dict.fromkeys([data.train_split, *data.report_splits] if splits is None else splits))
    if data.source == "vader":
        return Origin("vader", "vader_lexicon.txt of the package vaderSentiment", {"lexicon": _lexicon()})
    if data.source == "rated_sentences":
        archive = _archive(data, cache_dir)
        words = f"{data.collection} of {archive.name} (Hutto and Gilbert, ICWSM 2014)"
        return Origin("rated_sentences", words, {str(data.collection): archive})
    if data.source == "files":
        return _locate_files(data, needed)
    return _locate_mirror(data, data_dir, needed) or _locate_hub(data, needed)


def fingerprint(data: DataConfig, data_dir: str | None, cache_dir: str | None = None) -> str:
    """SHA-256 (64 hex digits) of the data of a run: of its files, or of the hub id, configuration and commit.

    Raises:
        DataError: If the data set cannot be found.
    """
    return fingerprint_of(data, locate(data, data_dir, cache_dir=cache_dir))


def fingerprint_of(data: DataConfig, origin: Origin) -> str:
    """The fingerprint of a data set that has been located."""
    if origin.kind == "hub":
        return hashlib.sha256(f"hub:{data.hub}/{data.hub_config}@{origin.commit}".encode()).hexdigest()
    lines = [f"{split} {file_digest(path)}" for split, path in sorted(origin.files.items())]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _lexicon() -> Path:
    package = importlib.util.find_spec("vaderSentiment")
    for folder in (package.submodule_search_locations or []) if package else []:
        if (lexicon := Path(folder) / "vader_lexicon.txt").is_file():
            return lexicon
    raise DataError("data=vader needs the package vaderSentiment, which is not installed; pip install vaderSentiment")


def _archive(data: DataConfig, cache_dir: str | None) -> Path:
    """The user's own copy, or the one in the cache, which is fetched if it is missing."""
    if data.archive is None:
        if cache_dir is None:
            raise DataError(f"data={data.name} needs a folder for its archive; give paths.cache_dir")
        return provide(Path(cache_dir).expanduser())
    if not Path(data.archive).is_file():
        raise DataError(f"data.archive: there is no file {data.archive}; set it to null to fetch the file")
    return Path(data.archive)


def _locate_files(data: DataConfig, needed: list[str]) -> Origin:
    given = {"train": data.train_file, "validation": data.validation_file}
    files: dict[str, Path] = {}
    for split in needed:
        if split not in given:
            raise DataError(f"data={data.name} has no split {split!r}; {nearest(split, given)}")
        path = Path(str(given[split])).expanduser()
        if not path.is_file():
            raise DataError(f"data.{split}_file: there is no file {path}; give the path of an existing file")
        files[split] = path
    return Origin("files", "files " + ", ".join(path.name for path in files.values()), files)


def _locate_mirror(data: DataConfig, data_dir: str | None, needed: list[str]) -> Origin | None:
    if not (data_dir and data.mirror):
        return None
    folder = Path(data_dir).expanduser() / data.mirror
    files = {split: folder / f"{split}.parquet" for split in needed}
    if not all(path.is_file() for path in files.values()):
        return None
    return Origin("mirror", f"local mirror of {data.hub}: {data.mirror}", files)


def _locate_hub(data: DataConfig, needed: list[str]) -> Origin:
    commit = _commit(data, needed)
    name = f"{data.hub} ({data.hub_config})" if data.hub_config else str(data.hub)
    return Origin("hub", f"hub data set {name} at commit {commit}", commit=commit)


def _commit(data: DataConfig, needed: list[str]) -> str:
    """The commit of the revision: from the hub, or from its cache if the hub cannot be reached."""
    if data.revision and re.fullmatch(r"[0-9a-f]{40}", data.revision):
        return data.revision
    from huggingface_hub import HfApi, hf_hub_download  # slow to import, and needed only for the hub

    # Any error means the same here; their types depend on the HTTP library of huggingface_hub.
    repository, unreachable = str(data.hub), None
    try:  # one request without retries: a download without a network would try for half a minute
        HfApi().dataset_info(repository, revision=data.revision, timeout=SECONDS_TO_ANSWER)
    except Exception as error:
        unreachable = error
    try:  # the download records the commit of the revision in the cache, for use without a network
        card = hf_hub_download(
            repository, "README.md", repo_type="dataset", revision=data.revision, local_files_only=bool(unreachable)
        )
    except Exception as error:
        raise DataError(not_found(data, needed, type(unreachable or error).__name__)) from error
    return Path(card).parent.name


def not_found(data: DataConfig, splits: Iterable[str], reason: str) -> str:
    """The message for a hub data set that neither the mirror nor the hub nor the hub's cache has."""
    files = ", ".join(f"{data.mirror}/{split}.parquet" for split in splits)
    remedy = f"set EMBFACT_DATA_DIR to a folder with {files}, or " if data.mirror else ""
    return (
        f"data set {data.hub} is not in the local mirror and cannot be fetched from the hub ({reason}); "
        f"{remedy}connect to the hub once, or use data=vader or data=files"
    )
