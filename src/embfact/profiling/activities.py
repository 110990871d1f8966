"""The parts that the seconds of a run are divided into.

Light to import: the standard library only.
"""

from __future__ import annotations

from enum import StrEnum


class Activity(StrEnum):
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


DESCRIPTIONS = {
    Activity.LOADING: "texts and backbone read, rows tokenised",
    Activity.DATA: "batches fetched, padded, moved to the device",
    Activity.EVIDENCE: "what the method looks at",
    Activity.FACTORIZATION: "the table made smaller",
    Activity.FORWARD: "forward pass and loss",
    Activity.BACKWARD: "gradients",
    Activity.OPTIMIZER: "clipping and step",
    Activity.HELD_OUT: "all that the rows to select on take",
    Activity.EVALUATION: "the reported splits, from the weights as saved",
    Activity.LOGGING: "W&B, callbacks, bar, metrics.csv, checkpoints",
    Activity.OTHER: "set-up, the loop itself, saving the weights",
}
"""What is in each part."""

STEP = {Activity.DATA, Activity.FORWARD, Activity.BACKWARD, Activity.OPTIMIZER, Activity.LOGGING, Activity.OTHER}
"""What the steps of a training take their time for, within an epoch."""
