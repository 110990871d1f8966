"""What of a run to publish beside its figures: enough to compute tables, tests and plots again, and nothing private.

That is the record, the predictions (row ids, labels and logits, no text) and the learning curve. Folders of this
machine are left out of the record. Light to import: no torch.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from embfact.errors import UserError
from embfact.runs import curve
from embfact.runs.record import FILE_NAME, PREDICTIONS, read, write
from embfact.system.atomic import replacing


def export(directory: Path, output: Path) -> Path:
    """Copy what can be published of a run into a folder of its name below another one, replacing an earlier copy.

    Args:
        directory: The run directory.
        output: The folder of the copies; it is created.

    Returns:
        The folder of the copy.

    Raises:
        ModelError: If the record cannot be read.
        UserError: If a folder of that name holds anything else than a copy of this run: the run itself with its
            weights, or the copy of a run of another sweep.
        OSError: If the copy cannot be written; an earlier one is then untouched.
    """
    record = read(directory)
    if output.exists() and not output.is_dir():
        raise UserError(f"{output} is a file; name a folder in --output")
    output.mkdir(parents=True, exist_ok=True)
    copy = output / record.name
    files = {FILE_NAME, PREDICTIONS, curve.FILE_NAME}
    if copy.is_dir() and (other := sorted({path.name for path in copy.iterdir()} - files)):
        raise UserError(f"{copy} is a run, not a copy of one (it holds {other[0]}); name another folder in --output")
    if (copy / FILE_NAME).is_file() and (before := read(copy).experiment) != record.experiment:
        raise UserError(
            f"{copy} is the copy of a run of {before}, and this one is of {record.experiment}; name another folder in "
            "--output for each sweep"
        )
    with replacing(copy) as folder:
        config = {name: value for name, value in record.config.items() if name not in ("paths", "output_dir")}
        changes: dict[str, Any] = {"config": _without_folders(config)}
        if record.error:
            words = " ".join(_without_folders(record.error.message.split(" ")))
            changes["error"] = record.error.model_copy(update={"message": words})
        write(record.model_copy(update=changes), folder)
        for name in (PREDICTIONS, curve.FILE_NAME):
            if (directory / name).is_file():
                shutil.copyfile(directory / name, folder / name)
    return copy


def _without_folders(value: Any) -> Any:
    """The same values with file names in place of absolute paths."""
    if isinstance(value, dict):
        return {name: _without_folders(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_without_folders(inner) for inner in value]
    return Path(value).name if isinstance(value, str) and Path(value).is_absolute() else value
