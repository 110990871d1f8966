"""The parts that the seconds of a run are divided into.

Light to import: the standard library only.
"""

from __future__ import annotations

from enum import StrEnum


class Part(StrEnum):
    """A part of a run, by the name that a reader sees."""

    LOADING = "loading"
    DATA = "data"
    EVIDENCE = "evidence"
    FACTORIZATION = "factorization"
    FORWARD = "forward"
    BACKWARD = "backward"
    OPTIMIZER = "optimizer"
    HELD_OUT = "held-out scoring"
    EVALUATION = "evaluation"
    LOGGING = "logging"
    OTHER = "other"


WORDS = {
    Part.LOADING: "texts and backbone read, rows tokenised",
    Part.DATA: "batches fetched, padded, moved to the device",
    Part.EVIDENCE: "what the method looks at",
    Part.FACTORIZATION: "the table made smaller",
    Part.FORWARD: "forward pass and loss",
    Part.BACKWARD: "gradients",
    Part.OPTIMIZER: "clipping and step",
    Part.HELD_OUT: "all that the rows to select on take",
    Part.EVALUATION: "the reported splits, from the weights as saved",
    Part.LOGGING: "W&B, callbacks, bar, metrics.csv, checkpoints",
    Part.OTHER: "set-up, the loop itself, saving the weights",
}
"""What is in each part."""

STEP = {Part.DATA, Part.FORWARD, Part.BACKWARD, Part.OPTIMIZER, Part.LOGGING, Part.OTHER}
"""What the steps of a training take their time for, within an epoch."""
