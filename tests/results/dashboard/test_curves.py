"""Learning curves from files that a training may still be writing."""

from __future__ import annotations

import pytest

from embfact.results.dashboard.payload import MOST_POINTS, curves_of
from embfact.runs.curve import FILE_NAME

HEADER = "epoch,step,train/loss,selection/accuracy\n"


def curves_from(folder, text):
    (folder / FILE_NAME).write_text(text)
    return curves_of(folder)


def test_losses_and_metrics_have_steps_of_their_own(tmp_path):
    curves = curves_from(tmp_path, HEADER + "0,10,0.7,\n0,15,,0.8\n0,20,0.123456,\n")
    assert curves == {"train/loss": ([10, 20], [0.7, 0.1235]), "selection/accuracy": ([15], [0.8])}


@pytest.mark.parametrize("points", [MOST_POINTS - 1, MOST_POINTS, MOST_POINTS + 1, 12_345])
def test_a_long_curve_is_thinned_and_keeps_both_ends(tmp_path, points):
    curves = curves_from(tmp_path, HEADER + "".join(f"0,{step},{step},\n" for step in range(1, points + 1)))
    steps, values = curves["train/loss"]
    assert len(steps) == len(set(steps)) == min(points, MOST_POINTS)
    assert (steps[0], steps[-1]) == (1, points)
    assert values == pytest.approx(steps, rel=1e-3)


@pytest.mark.parametrize("line", ["0,20", "0,20,nan,", "0,20,inf,", "0,x,0.5,", "0,20,abc,", "0,20,0.5,0.5,0.5"])
def test_what_is_no_whole_number_is_passed_over(tmp_path, line):
    assert curves_from(tmp_path, f"{HEADER}0,10,0.7,\n{line}\n") == {"train/loss": ([10], [0.7])}


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe", b"epoch\n1\n", b"epoch,step,train/loss\n"])
def test_without_a_curve_there_is_none(tmp_path, content):
    (tmp_path / FILE_NAME).write_bytes(content)
    assert curves_of(tmp_path) == {}
    assert curves_of(tmp_path / "missing") == {}
