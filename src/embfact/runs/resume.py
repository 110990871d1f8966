"""What an interrupted run has left to go on with: the state of its training, or its trained weights.

Everything is below ``resume/`` of the run directory, and is committed by one small file that names the others with
their checksums: a state that was cut off or damaged is found out, and counts for nothing.
"""

from __future__ import annotations

import json
import logging
import os
import random
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xxhash

from embfact.runs.status import RESUME
from embfact.system.atomic import write_text
from embfact.system.signals import requested

log = logging.getLogger(__name__)

NOTE = "latest.json"  # names the file of the newest state, with its checksum and what else belongs to it
BLOCK = 2**22


class Resumable:
    """The states that a run leaves behind while it trains.

    Args:
        directory: The run directory, whose lock is held.
    """

    def __init__(self, directory: Path) -> None:
        self.folder = directory / RESUME

    def save(self, state: Mapping[str, Any], notes: Mapping[str, Any]) -> None:
        """Keep a state in place of the one before, which stays valid until this one is whole.

        Args:
            state: Tensors and plain values, as `torch.save` writes and reads them without running any code.
            notes: JSON values to read back without the state.

        Raises:
            OSError: If there is no room; the state before is then still there.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        # Two names in turn: one holds the state before until the note names the other.
        name = "a.ckpt" if self._note().get("file") != "a.ckpt" else "b.ckpt"
        path = self.folder / name
        try:
            with path.open("wb") as file:
                torch.save(dict(state), file)
                file.flush()
                # What a process has written stays when it ends; only a power cut needs more, and a signal wants haste.
                if requested() is None:
                    os.fsync(file.fileno())
        except RuntimeError as error:  # how torch tells of a disk that is full
            path.unlink(missing_ok=True)
            raise OSError(f"the state of the training could not be written to {path}: {error}") from error
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        note = {"file": name, "checksum": checksum(path), "notes": dict(notes)}
        write_text(self.folder / NOTE, json.dumps(note, indent=2) + "\n")
        for other in self.folder.glob("*.ckpt"):
            if other != path:
                other.unlink()

    def note(self, notes: Mapping[str, Any]) -> None:
        """Keep notes alone: from here on the run goes on without a state of its training."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_text(self.folder / NOTE, json.dumps({"notes": dict(notes)}, indent=2) + "\n")
        for state in self.folder.glob("*.ckpt"):
            state.unlink()

    def notes(self) -> dict[str, Any]:
        """The notes that were kept last; empty if there are none."""
        notes = self._note().get("notes")
        return notes if isinstance(notes, dict) else {}

    def state(self) -> Path | None:
        """The file of the state that was kept last; None if there is none, or it is damaged."""
        note = self._note()
        if "file" not in note:
            return None
        path = self.folder / str(note["file"])
        try:
            if checksum(path) == note.get("checksum"):
                return path
        except OSError:
            pass
        log.warning("the checkpoint of the interrupted training is damaged; it begins again from the start")
        return None

    def clear(self) -> None:
        """Leave nothing to go on with."""
        # The note first: a state that nothing names counts for nothing.
        (self.folder / NOTE).unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _note(self) -> dict[str, Any]:
        try:
            note = json.loads((self.folder / NOTE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return note if isinstance(note, dict) else {}


def checksum(path: Path) -> str:
    """XXH3 of a file: at the speed of memory, and nobody attacks a checkpoint of one's own."""
    digest = xxhash.xxh3_128()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def checksums(folder: Path) -> dict[str, str]:
    """Checksum of each file of a folder, by its name; of a folder that is not there, none."""
    return {path.name: checksum(path) for path in sorted(folder.glob("*")) if path.is_file()}


def random_state() -> dict[str, Any]:
    """The state of every generator of random numbers of this process, as tensors and plain values."""
    kind, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    version, numbers, gauss = random.getstate()
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "numpy": [str(kind), torch.from_numpy(np.asarray(keys).astype(np.int64)), position, has_gauss, cached],
        "python": [version, list(numbers), gauss],
    }


def restore_random(state: Mapping[str, Any]) -> None:
    """Go on with the random numbers of `random_state`."""
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])
    kind, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), position, has_gauss, cached))
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))
