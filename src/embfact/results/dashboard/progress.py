"""What a watched sweep is doing now: the runs in progress, and how many have ended.

Light to import: the standard library only.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean
from typing import Any

from embfact.formatting.numbers import duration
from embfact.runs.pace import time_left
from embfact.runs.survey import RunState

_ENDED = ("finished", "failed", "diverged", "damaged")


def progress(states: Sequence[RunState]) -> dict[str, Any]:
    """The section of the page on a sweep in progress.

    Returns:
        ``text``, ``done`` and ``of`` for the sweep, in runs; and the same for each of the ``running`` runs, in
        optimizer steps, with its ``name`` and ``id``. ``of`` is None where there is nothing to draw a bar of.
    """
    running = [state for state in states if state.state == "running"]
    ended = sum(state.state in _ENDED for state in states)
    waiting = len(states) - ended - len(running)
    ended_in = [state.seconds for state in states if state.state == "finished" and state.seconds is not None]
    # A run that knows its own pace is as far as that pace says.
    far = [
        state.seconds or 0.0 if state.seconds_left is None else mean(ended_in or [0.0]) - state.seconds_left
        for state in running
    ]
    left = time_left(ended_in, waiting, far, max(1, len(running)))
    told = [f"{ended:,} of {len(states):,} runs have ended"]
    if running:
        told += [f"about {duration(left)} left"] if left is not None else []
    elif waiting:
        told.append(f"none is running, {waiting:,} {'waits' if waiting == 1 else 'wait'}")
    return {
        "text": ", ".join(told),
        "done": ended,
        "of": len(states) or None,
        "running": [
            {"name": one.name, "id": one.hash, "text": _doing(one), "done": one.step, "of": one.steps}
            for one in running
        ],
    }


def _doing(state: RunState) -> str:
    cores = f"{state.threads} core{'' if state.threads == 1 else 's'}" if state.threads else ""
    return ", ".join(filter(None, [state.progress, cores]))
