"""Numbers of a configuration are printed as they are typed, and read back as the same."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from embfact.factorization.target import SizeTarget
from embfact.formatting.typed import number, typed
from embfact.results.collect import Collected
from embfact.results.dashboard.payload import payload
from embfact.results.dashboard.sweep import Sweep
from embfact.results.plots.points import lines
from embfact.results.result_table import ResultTable, build_table
from embfact.results.table.render import FORMATS, render
from embfact.results.table.request import TableRequest
from embfact.runs.record import RunRecord
from embfact.search.plan import describe_options
from tests.helpers.records import make_values


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e10, "1e10"),
        (1.5e10, "1.5e10"),
        (-1e10, "-1e10"),
        (1e22, "1e22"),
        (3e-05, "3e-05"),
        (1e-7, "1e-07"),
        (0.1 + 0.2, "0.30000000000000004"),
        (123456.75, "123456.75"),
        (0.0001, "0.0001"),
        (1.0, "1"),
        (0.0, "0"),
        (250000.0, "250000"),
        (2**32 - 1, "4294967295"),
        (10**10, "10000000000"),
        (10**30, "1" + 30 * "0"),
    ],
)
def test_a_number_is_short_and_whole(value: float, text: str) -> None:
    assert number(value) == text


@given(st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.integers()))
def test_a_number_reads_back_as_the_same_as_the_command_line_reads_it(value: float) -> None:
    for text in (number(value), typed(value)):
        assert OmegaConf.from_dotlist([f"key={text}"]).key == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        ([0.9, 1e10], "[0.9,1e10]"),
        ("1e10", "1e10"),
        ({"a": [1.0]}, "{a:[1.0]}"),
        (-3.0, "-3.0"),
        (7, "7"),
    ],
)
def test_other_values_are_typed_too(value: Any, text: str) -> None:
    assert typed(value) == text


@pytest.fixture
def clipped() -> ResultTable:
    """Runs that differ in an option of 1e10."""
    values = [make_values("svd", 64, options={"trainer": {"gradient_clip": clip}}) for clip in (1e10, 1.0)]
    return build_table(Collected(tuple(map(RunRecord.model_validate, values))))


def test_tables_plots_and_pages_print_it(clipped: ResultTable) -> None:
    for form in FORMATS:
        for request in (TableRequest(), TableRequest(rows=("method", "setting"))):
            text = render(clipped, form, request).replace(r"\_", "_").replace(r"\allowbreak{}", "")
            assert "gradient_clip=1e10" in text
            assert "10000000000" not in text
    (first, *_) = csv.DictReader(io.StringIO(render(clipped, "csv")))
    assert first["setting"] == "gradient_clip=1.0"
    assert [line.name for line in lines(clipped, clipped.columns[0], "params")] == [
        "svd (gradient_clip=1.0)",
        "svd (gradient_clip=1e10)",
    ]
    assert [group["setting"] for group in payload(Sweep((), clipped, ()))["groups"]] == [
        "gradient_clip=1.0",
        "gradient_clip=1e10",
    ]


def test_sizes_in_names_of_runs_and_answers_of_a_search(clipped: ResultTable) -> None:
    assert [str(SizeTarget(budget=share)) for share in (1.0, 0.1, 1e-05)] == ["b1.0", "b0.1", "b1e-05"]
    assert str(SizeTarget(energy=0.1 + 0.2)) == "e0.30000000000000004"
    assert describe_options({"optimizer.lr": 1.23456789e-4}) == "optimizer.lr=0.000123456789"


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("trainer.epochs=1e-7", "1e-07"),
        ("budget=1e10", "1e10"),
        ("optimizer.lr=-1e10", "-1e10"),
        ("seed=12345678901234567890", "12345678901234567890"),
        ("optimizer.betas=[0.9,1e10]", "1e10"),
        ("task.dropout=true", "true"),
        ("rank='1e10'", "'1e10'"),
    ],
)
def test_what_is_refused_is_repeated_as_it_was_typed(
    train: Callable[..., Any], tiny: list[str], tmp_path: Path, word: str, found: str
) -> None:
    answer = train(*tiny, word, cwd=tmp_path)
    assert answer.code == 2
    assert f"(found {found})" in answer.err


def test_bounds_of_a_search_are_repeated_with_every_digit(
    train: Callable[..., Any], tiny: list[str], tmp_path: Path
) -> None:
    bounds = "+search.space.task.dropout={low: 1.2345678e10, high: 0.1}"
    answer = train(*tiny, "search=lr", bounds, cwd=tmp_path)
    assert answer.code == 2
    assert "12345678000 and 0.1" in answer.err
