"""What an interrupted run resumes from: its training state, or its trained weights.

Everything is in ``resume/`` of the run directory. One small file commits it: it names the other files with their
checksums, so that a truncated or damaged state is detected and ignored.
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

NOTE = "latest.json"  # names the file of the latest state, with its checksum and notes
BLOCK = 2**22


class Resumable:
    """The training states of a run directory, whose lock must be held."""

    def __init__(self, directory: Path) -> None:
        self.folder = directory / RESUME

    def save(self, state: Mapping[str, Any], notes: Mapping[str, Any]) -> None:
        """Replace the previous state, which stays valid until this one is complete.

        Args:
            state: Tensors and plain values, which `torch.load` reads with ``weights_only=True``.
            notes: JSON values that can be read back without the state.

        Raises:
            OSError: If the disk is full; the previous state is then still there.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        # Two alternating names: one keeps the previous state until the note names the other.
        name = "a.ckpt" if self._note().get("file") != "a.ckpt" else "b.ckpt"
        path = self.folder / name
        try:
            with path.open("wb") as file:
                torch.save(dict(state), file)
                file.flush()
                # Written data survives the process; fsync is for power cuts, and too slow after a signal.
                if requested() is None:
                    os.fsync(file.fileno())
        except RuntimeError as error:  # torch's error for a full disk
            path.unlink(missing_ok=True)
            raise OSError(f"the training state could not be written to {path}: {error}") from error
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        note = {"file": name, "checksum": checksum(path), "notes": dict(notes)}
        write_text(self.folder / NOTE, json.dumps(note, indent=2) + "\n")
        for other in self.folder.glob("*.ckpt"):
            if other != path:
                other.unlink()

    def note(self, notes: Mapping[str, Any]) -> None:
        """Keep notes only: from here on, the run needs no training state."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_text(self.folder / NOTE, json.dumps({"notes": dict(notes)}, indent=2) + "\n")
        for state in self.folder.glob("*.ckpt"):
            state.unlink()

    def notes(self) -> dict[str, Any]:
        """The latest notes; empty if there are none."""
        notes = self._note().get("notes")
        return notes if isinstance(notes, dict) else {}

    def state(self) -> Path | None:
        """The file of the latest state; None if there is none, or it is damaged."""
        note = self._note()
        if "file" not in note:
            return None
        path = self.folder / str(note["file"])
        try:
            if checksum(path) == note.get("checksum"):
                return path
        except OSError:
            pass
        log.warning("the checkpoint of the interrupted training is damaged; training restarts from scratch")
        return None

    def clear(self) -> None:
        """Remove everything."""
        # The note first: a state without one is ignored.
        (self.folder / NOTE).unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _note(self) -> dict[str, Any]:
        try:
            note = json.loads((self.folder / NOTE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return note if isinstance(note, dict) else {}


def checksum(path: Path) -> str:
    """XXH3 of a file: fast, and nobody attacks their own checkpoint."""
    digest = xxhash.xxh3_128()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def checksums(folder: Path) -> dict[str, str]:
    """Checksum of each file of a folder, by name; empty if the folder does not exist."""
    return {path.name: checksum(path) for path in sorted(folder.glob("*")) if path.is_file()}


def random_state() -> dict[str, Any]:
    """The state of every random number generator of this process, as tensors and plain values."""
    kind, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    version, numbers, gauss = random.getstate()
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "numpy": [str(kind), torch.from_numpy(np.asarray(keys).astype(np.int64)), position, has_gauss, cached],
        "python": [version, list(numbers), gauss],
    }


def restore_random(state: Mapping[str, Any]) -> None:
    """Restore the generators from `random_state`."""
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])
    kind, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), position, has_gauss, cached))
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))
