"""The parts into which the seconds of a run are divided; imports the standard library only."""

from __future__ import annotations

from enum import StrEnum


class Activity(StrEnum):
    """A part of a run, with its displayed name."""

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
    Activity.LOADING: "reading texts and backbone, tokenising rows",
    Activity.DATA: "fetching and padding batches, moving them to the device",
    Activity.EVIDENCE: "collecting what the method needs",
    Activity.FACTORIZATION: "making the table smaller",
    Activity.FORWARD: "forward pass and loss",
    Activity.BACKWARD: "gradients",
    Activity.OPTIMIZER: "clipping and step",
    Activity.HELD_OUT: "scoring the held-out rows",
    Activity.EVALUATION: "scoring the reported splits with the saved weights",
    Activity.LOGGING: "W&B, callbacks, progress bar, metrics.csv, checkpoints",
    Activity.OTHER: "set-up, the loop itself, saving the weights",
}
"""What each part includes."""

STEP = {Activity.DATA, Activity.FORWARD, Activity.BACKWARD, Activity.OPTIMIZER, Activity.LOGGING, Activity.OTHER}
"""The parts of a training step."""
