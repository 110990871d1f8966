"""Reading a split of a data set on the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from embfact.config.data_config import DataConfig
from embfact.data.fingerprint import Origin, not_found
from embfact.data.source import Source, require_columns
from embfact.errors import DataError


def read_hub(data: DataConfig, origin: Origin, split: str) -> Source:
    """One split of a hub data set, at the commit of its origin.

    Raises:
        DataError: If the hub cannot be reached and its cache has no such data set, or only another commit of it.
    """
    import datasets  # slow to import, and needed only here

    try:
        dataset = datasets.load_dataset(str(data.hub), data.hub_config, revision=origin.commit, split=split)
    except Exception as error:  # network errors depend on the HTTP library that `datasets` uses
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise DataError(not_found(data, [split], reason)) from error
    _refuse_other_commit(dataset, origin)
    name = f"{data.hub} {data.hub_config or ''}".rstrip() + f", split {split}"
    columns = [*data.text, data.label]
    require_columns(name, columns, dataset.column_names)
    table: pa.Table = dataset.select_columns(list(dict.fromkeys(columns))).with_format("arrow")[:]
    return Source(name, table)


def _refuse_other_commit(dataset: object, origin: Origin) -> None:
    """Offline, `datasets` takes the newest data set in its cache, whatever commit was requested."""
    for file in getattr(dataset, "cache_files", []):
        folder = Path(file["filename"]).parent.name
        if len(folder) == len(str(origin.commit)) and folder != origin.commit:
            raise DataError(
                f"the cache holds commit {folder}, not {origin.commit}; set data.revision={folder}, or go online once"
            )
