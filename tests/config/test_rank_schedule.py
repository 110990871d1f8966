"""When a dense table is projected to which rank."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embfact.config.rank_schedule import Projection, rank_schedule
from embfact.config.sections import RefactorizeConfig
from embfact.errors import UserError

EPOCHS = RefactorizeConfig(every="epoch", until=1.0)


def steps(number: int, until: float) -> RefactorizeConfig:
    return RefactorizeConfig(every="steps", steps=number, until=until)


def test_ranks_fall_by_the_same_share_down_to_the_final_one() -> None:
    plan = rank_schedule(EPOCHS, steps=40, steps_per_epoch=10, width=256, rank=16)
    assert plan == (Projection(10, 128), Projection(20, 64), Projection(30, 32), Projection(40, 16))


def test_a_single_projection_goes_to_the_final_rank_at_once() -> None:
    assert rank_schedule(steps(7, 0.5), steps=20, steps_per_epoch=5, width=384, rank=64) == (Projection(7, 64),)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 2000), st.integers(1, 300), st.floats(0.01, 1), st.integers(2, 1024), st.data())
def test_projections_are_multiples_of_the_interval_within_their_share_of_the_training(
    length: int, interval: int, until: float, width: int, data: st.DataObject
) -> None:
    rank = data.draw(st.integers(1, width - 1))
    options = steps(interval, until)
    expected = [step for step in range(interval, length + 1, interval) if step <= until * length + 1e-6]
    if not expected:
        with pytest.raises(UserError, match="no projection within the first"):
            rank_schedule(options, steps=length, steps_per_epoch=1, width=width, rank=rank)
        return
    plan = rank_schedule(options, steps=length, steps_per_epoch=1, width=width, rank=rank)
    assert [projection.step for projection in plan] == expected
    exact = np.geomspace(width, rank, len(plan) + 1)[1:]
    np.testing.assert_allclose([projection.rank for projection in plan], exact, atol=0.5 + 1e-6)
    assert plan[-1].rank == rank


@pytest.mark.parametrize(("until", "count"), [(0.7, 7), (0.3, 3), (0.29, 2), (1.0, 10)])
def test_a_share_of_the_steps_is_not_lost_in_rounding(until: float, count: int) -> None:
    assert len(rank_schedule(steps(1, until), steps=10, steps_per_epoch=1, width=64, rank=2)) == count


def test_a_training_that_is_too_short_is_refused_with_its_length() -> None:
    with pytest.raises(UserError, match=r"refactorize=every_epoch .* first 0.5 of 30 optimizer steps .*\b30\)"):
        rank_schedule(RefactorizeConfig(every="epoch", until=0.5), steps=30, steps_per_epoch=30, width=64, rank=8)
