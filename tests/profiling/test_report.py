"""A profile is a table for people and a file for programs, with the same figures."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from embfact.profiling.report import FILE_NAME, Activity, Report, Steps, read_report

STEPS = Steps(
    seconds=20.0,
    count=10,
    rows=400,
    fewest=24,
    most=60,
    tokens=9000,
    cells=10000,
    device="cpu",
    devices=1,
    threads=2,
    flops=6e11,
    machine_flops=6e10,
    product="512 x 384 x 1536 float32",
)
SECONDS = dict.fromkeys(Activity, 0.0) | {Activity.FORWARD: 10.0, Activity.BACKWARD: 5.0, Activity.LOADING: 25.0}
REPORT = Report("a-run", SECONDS, STEPS)


def test_figures_follow_from_the_counts() -> None:
    assert STEPS.tokens_per_second == 450
    assert STEPS.padding == pytest.approx(0.1)
    assert STEPS.mean_rows == 40
    assert STEPS.utilization == 0.5


def test_the_text_says_them() -> None:
    lines = REPORT.as_text().split("\n")
    assert [cell.strip() for cell in lines[0].split("|")] == ["", "part", "what is in it", "seconds", "share", ""]
    cells = {line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")[3:5]] for line in lines[2:14]}
    assert list(cells) == [*Activity, "total"]
    assert cells["loading"] == ["25.00", "62.5%"]
    assert cells["total"] == ["40.00", "100.0%"]
    assert "450 tokens per second without padding (9,000 tokens in 20.0 s, 10 steps)" in REPORT.as_text()
    assert "Padding: 10.0 % of a batch. Rows per step: 40.0 (24 to 60)." in REPORT.as_text()
    assert "utilisation: 50 %: 30.0 GFLOP/s" in REPORT.as_text()


def test_one_of_several_devices_is_named() -> None:
    text = Report("a-run", SECONDS, dataclasses.replace(STEPS, devices=2)).as_text()
    assert "Training (the first of 2 devices)" in text


def test_what_could_not_be_counted_is_left_out() -> None:
    uncounted = Report("a-run", SECONDS, dataclasses.replace(STEPS, flops=None))
    assert uncounted.as_json()["training"]["utilization"] is None
    assert "utilisation" not in uncounted.as_text()


def test_the_file_gives_the_report_again(tmp_path: Path) -> None:
    for report in (REPORT, Report("untrained", SECONDS, None)):
        report.write(tmp_path)
        assert read_report(tmp_path) == report
        content = json.loads((tmp_path / FILE_NAME).read_text())
        assert content["schema_version"] == 1
        assert content["seconds"]["total"] == 40
        assert sum(content["shares"].values()) == pytest.approx(1)


@pytest.mark.parametrize("content", [None, "", "[]", "{}", '{"seconds": {"data": "much"}}'])
def test_a_file_that_is_not_there_or_damaged_is_no_report(content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / FILE_NAME).write_text(content)
    assert read_report(tmp_path) is None
