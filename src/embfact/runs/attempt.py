"""One attempt at a run: where it tells of itself, what it has to go on with, and how long it takes."""

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
    """What a run has to know of its own life; made when its directory is locked.

    Args:
        identity: The run.
        resume: Go on from what an earlier attempt has left, if it left anything.

    Attributes:
        life: Where it tells how far it is.
        states: Where the state of its training is kept.
        state: The state that an earlier attempt has left, a file; None to train from the start.
        watch: Its seconds, those of the attempts that it goes on from included.
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
        """A phase of the run, whose time goes to a step of the record; a signal that was held back ends it first."""
        check()
        self.life.enter(phase)
        with self.watch.step(step):
            yield

    @property
    def peak_memory(self) -> int:
        """Bytes of the largest resident set of the attempts that count."""
        return max(self._peak, peak_memory())

    def notes(self) -> dict[str, Any]:
        """What has to be known to go on from here, besides the state."""
        return {"hash": self._hash, "seconds": self.watch.seconds(), "peak_memory": self.peak_memory}

    @property
    def goes_on(self) -> bool:
        """Whether it takes up what an earlier attempt has left."""
        return self.state is not None or self.trained() is not None

    def trained(self) -> dict[str, Any] | None:
        """What an earlier attempt has noted once its weights were saved; None if it did not come that far."""
        return self.states.notes().get("trained")

    def note_trained(self, result: dict[str, Any]) -> None:
        """Note that the weights are saved: from here on nothing has to be trained again."""
        wait_for_disk(self._weights)
        self.states.note({**self.notes(), "trained": result, "weights": checksums(self._weights)})

    def _whole(self, notes: Mapping[str, Any]) -> bool:
        """Whether the weights that were saved are still what they were."""
        whole = notes.get("weights") == checksums(self._weights)
        if not whole:
            log.warning("the weights of the interrupted run are damaged; it begins again from the start")
        return whole


def _kept(notes: Mapping[str, Any]) -> dict[str, float]:
    """The seconds of the work that is not done again."""
    names = ("evidence", "factorization", "training") if "trained" in notes else ("training",)
    seconds = {name: value for name, value in notes.get("seconds", {}).items() if name in names}
    return {**seconds, "total": sum(seconds.values())}
