"""When a table that is trained dense is projected, and to which rank, until only its factors are left.

Light to import: a schedule that would leave the table dense is refused before anything is loaded.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import floor

from embfact.config.sections import RefactorizeConfig, TrainerConfig
from embfact.errors import ErrorDetail, UserError
from embfact.formatting.typed import number

ROUNDING = 1e-9  # 0.7 of 10 steps is 7.000000000000001 in one order and 6.999999999999999 in another


@dataclass(frozen=True)
class Projection:
    """One projection of the table.

    Attributes:
        step: Number of optimizer steps before it.
        rank: The remaining rank.
    """

    step: int
    rank: int


def rank_schedule(
    options: RefactorizeConfig, *, steps: int, steps_per_epoch: int, width: int, rank: int
) -> tuple[Projection, ...]:
    """Every projection of a training: geometric from the width H of the table to the rank r.

    There are n multiples of the interval within the first ``until`` of the training. The i-th of them leaves rank H (r
    / H)^(i/n), rounded: each removes the same share, and the last one leaves r.

    Args:
        options: Interval and share of the training.
        steps: Optimizer steps T of the whole training.
        steps_per_epoch: Optimizer steps of an epoch.
        width: Columns H of the table.
        rank: The final rank r.

    Raises:
        UserError: If the training is too short for any projection.
    """
    interval = options.steps or steps_per_epoch
    count = _count(options, steps, interval)
    if count == 0:
        raise UserError(
            f"{options.choice} has no projection within the first {number(options.until)} of {steps} optimizer steps "
            f"(one every {interval}), so the table would stay dense; train longer "
            "(trainer.epochs, trainer.max_steps), or project more often"
        )
    ranks = [round(width * (rank / width) ** (number / count)) for number in range(1, count + 1)]
    return tuple(Projection(number * interval, left) for number, left in enumerate(ranks, start=1))


def schedule_error(options: RefactorizeConfig, trainer: TrainerConfig, aware: bool = False) -> ErrorDetail | None:
    """What is wrong with a schedule by the length of the training alone, before the number of rows is known."""
    if options.every == "never":
        return None
    until = f"within refactorize.until={number(options.until)}"
    if aware and options.until == 1:
        what = "refactorize.until=1 may leave no step to train the factors as they will be stored"
        return ErrorDetail(what, "quantization=aware", "lower refactorize.until, or use quantization=post_training")
    if options.every == "epoch" and not _count(options, trainer.epochs, 1):
        what = f"{options.choice} has no whole epoch {until} of trainer.epochs, so the table would stay dense"
        return ErrorDetail(what, f"trainer.epochs={trainer.epochs}", "train more epochs, or raise refactorize.until")
    if options.steps and trainer.max_steps and not _count(options, trainer.max_steps, options.steps):
        what = f"{options.choice} has no projection {until} of trainer.max_steps, so the table would stay dense"
        found = f"refactorize.steps={options.steps}, trainer.max_steps={trainer.max_steps}"
        return ErrorDetail(what, found, "lower refactorize.steps, or raise refactorize.until")
    return None


def _count(options: RefactorizeConfig, length: int, interval: int) -> int:
    return floor(options.until * length / interval + ROUNDING)
