"""One attempt at a run: its status, the state it resumes from, and its time and memory."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from embfact.config.sections import CHECKPOINT
from embfact.runs.identity import Identity
from embfact.runs.life import Life
from embfact.runs.resume import Resumable, checksums
from embfact.runs.status import Phase
from embfact.system.atomic import wait_for_disk
from embfact.system.resources import Stopwatch, peak_memory, reset_peak_memory
from embfact.system.signals import check

log = logging.getLogger(__name__)


class Attempt:
    """One attempt at a run, created once its directory is locked.

    Args:
        identity: The run.
        resume: Resume from what an earlier attempt saved, if anything.

    Attributes:
        life: Writes the status.
        states: Stores the training state.
        state: File with the training state of an earlier attempt; None to train from the start.
        watch: Measures seconds, including those of the attempts it resumes.
    """

    def __init__(self, identity: Identity, *, resume: bool) -> None:
        self.life = Life(identity, afresh=not resume)
        self.states = Resumable(identity.directory)
        self._hash, self._weights = identity.hash, identity.directory / CHECKPOINT
        before = self.states.notes()
        ours = resume and before.get("hash") == identity.hash
        self.state = self.states.state() if ours else None
        if self.state is None and not (ours and "trained" in before and self._whole(before)):
            self.states.clear()
            before = {}
        self.watch = Stopwatch(_kept(before))
        self._peak = int(before.get("peak_memory", 0))
        reset_peak_memory()

    @contextmanager
    def phase(self, phase: Phase, step: str) -> Iterator[None]:
        """Time a phase of the run as a step of the record; a deferred signal is raised before it starts."""
        check()
        self.life.enter(phase)
        with self.watch.step(step):
            yield

    @property
    def peak_memory(self) -> int:
        """Largest resident set in bytes, over this attempt and those it resumes."""
        return max(self._peak, peak_memory())

    def notes(self) -> dict[str, Any]:
        """What is needed to resume from here, besides the training state."""
        return {"hash": self._hash, "seconds": self.watch.seconds(), "peak_memory": self.peak_memory}

    @property
    def resumes(self) -> bool:
        """Whether it resumes an earlier attempt."""
        return self.state is not None or self.trained() is not None

    def trained(self) -> dict[str, Any] | None:
        """What an earlier attempt noted after saving its weights; None if it did not get that far."""
        return self.states.notes().get("trained")

    def note_trained(self, result: dict[str, Any]) -> None:
        """Note that the weights are saved: from here on, nothing needs to be trained again."""
        wait_for_disk(self._weights)
        self.states.note({**self.notes(), "trained": result, "weights": checksums(self._weights)})

    def _whole(self, notes: Mapping[str, Any]) -> bool:
        """Whether the saved weights are intact."""
        whole = notes.get("weights") == checksums(self._weights)
        if not whole:
            log.warning("the weights of the interrupted run are damaged; training restarts from scratch")
        return whole


def _kept(notes: Mapping[str, Any]) -> dict[str, float]:
    """The seconds of the work that is not repeated."""
    names = ("evidence", "factorization", "training") if "trained" in notes else ("training",)
    seconds = {name: value for name, value in notes.get("seconds", {}).items() if name in names}
    return {**seconds, "total": sum(seconds.values())}
