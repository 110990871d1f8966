"""The parts of a run's time, and their report: ``profile.json`` in the run directory, and a table; imports no torch."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from embfact.formatting.markdown import markdown_grid
from embfact.system.atomic import write_text

FILE_NAME = "profile.json"
SCHEMA_VERSION = 1
LOOKUP_TOKENS = 128  # a text


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


@dataclass(frozen=True)
class Steps:
    """The steps of a training.

    Attributes:
        seconds: Seconds of the steps: the epochs without held-out scoring.
        count: Optimizer steps.
        rows: Rows trained on, with repetitions.
        fewest: Rows of the smallest step.
        most: Rows of the largest step.
        tokens: Tokens without padding.
        cells: Tokens with padding.
        device: The device, e.g. ``cpu``.
        devices: The number of devices; the figures are those of the first.
        threads: CPU threads.
        flops: Floating-point operations for the tokens without padding; None if they could not be counted.
        machine_flops: Operations per second of a matrix product on the same threads; None if not measured.
        product: Description of that product.
    """

    seconds: float
    count: int
    rows: int
    fewest: int
    most: int
    tokens: int
    cells: int
    device: str
    devices: int
    threads: int
    flops: float | None
    machine_flops: float | None
    product: str

    @property
    def tokens_per_second(self) -> float:
        """Tokens per second of training, without padding."""
        return self.tokens / self.seconds

    @property
    def padding(self) -> float:
        """The share of padding in the batches."""
        return 1 - self.tokens / self.cells

    @property
    def mean_rows(self) -> float:
        """Rows per step."""
        return self.rows / self.count

    @property
    def utilization(self) -> float | None:
        """Model FLOP utilisation: operations per second of the training over those of the matrix product."""
        if self.flops is None or self.machine_flops is None:
            return None
        return self.flops / self.seconds / self.machine_flops


@dataclass(frozen=True)
class Report:
    """Where the seconds of a run went.

    Attributes:
        name: The run.
        seconds: Seconds of each part.
        steps: The training steps; None if an earlier attempt did them all.
        lookup: Microseconds of a lookup of `LOOKUP_TOKENS` tokens in the saved embedding; None if not measured.
    """

    name: str
    seconds: dict[Activity, float]
    steps: Steps | None
    lookup: float | None = None

    @property
    def total(self) -> float:
        """Seconds of all parts."""
        return sum(self.seconds.values())

    def as_json(self) -> dict[str, Any]:
        """The content of `profile.json`: seconds, shares, counts and derived figures."""
        steps = self.steps
        return {
            "schema_version": SCHEMA_VERSION,
            "name": self.name,
            "seconds": {**self.seconds, "total": self.total},
            "shares": {part: seconds / self.total for part, seconds in self.seconds.items()},
            "lookup_microseconds": self.lookup,
            "training": None
            if steps is None
            else {
                **asdict(steps),
                "tokens_per_second": steps.tokens_per_second,
                "padding": steps.padding,
                "mean_rows": steps.mean_rows,
                "utilization": steps.utilization,
            },
        }

    def as_text(self) -> str:
        """A Markdown table, and notes on the training below it."""
        lines = [[part, DESCRIPTIONS[part], *_figures(seconds, self.total)] for part, seconds in self.seconds.items()]
        lines.append(["total", "", *_figures(self.total, self.total)])
        grid = markdown_grid(["part", "what is in it", "seconds", "share"], lines, 2)
        notes = [] if self.steps is None else _notes(self.steps)
        if self.lookup is not None:
            notes.append(
                f"- A lookup of {LOOKUP_TOKENS} tokens in the saved embedding: {self.lookup:,.0f} microseconds."
            )
        return "\n".join([*grid, "", *notes])

    def write(self, directory: Path) -> None:
        """Write `profile.json` into a run directory."""
        write_text(directory / FILE_NAME, json.dumps(self.as_json(), indent=2) + "\n")


def read_report(directory: Path) -> Report | None:
    """The report of a run directory; None if there is no readable one."""
    try:
        found = json.loads((directory / FILE_NAME).read_text(encoding="utf-8"))
        seconds = {part: float(found["seconds"][part]) for part in Activity}
        steps = found["training"]
        known = None if steps is None else Steps(**{name: steps[name] for name in Steps.__dataclass_fields__})
        return Report(found["name"], seconds, known, found.get("lookup_microseconds"))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _figures(seconds: float, total: float) -> list[str]:
    return [f"{seconds:,.2f}" if total < 100 else f"{seconds:,.1f}", f"{100 * seconds / total:.1f}%"]


def _notes(steps: Steps) -> list[str]:
    of = f" (the first of {steps.devices} devices)" if steps.devices > 1 else ""
    threads = f"{steps.threads} thread{'s' if steps.threads > 1 else ''}"
    notes = [
        f"- Training{of}: {steps.tokens_per_second:,.0f} tokens per second without padding ({steps.tokens:,} tokens in "
        f"{steps.seconds:,.1f} s, {steps.count:,} steps). Padding: {100 * steps.padding:.1f} % of a batch. "
        f"Rows per step: {steps.mean_rows:.1f} ({steps.fewest} to {steps.most})."
    ]
    if steps.utilization is not None and steps.flops is not None and steps.machine_flops is not None:
        reached, possible = steps.flops / steps.seconds / 1e9, steps.machine_flops / 1e9
        notes.append(
            f"- Model FLOP utilisation: {100 * steps.utilization:.0f} %: {reached:,.1f} GFLOP/s for the tokens "
            f"without padding, out of {possible:,.1f} for a {steps.product} product between the steps "
            f"({steps.device}, {threads})."
        )
    return notes
