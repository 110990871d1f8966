"""Rows become points: sizes, ratios, the front, and the dense line that a method is compared with."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embfact.results.collect import Collected
from embfact.results.plots.points import Point, dense_of, front, lines, usual_measure
from embfact.results.result_table import Spread, build_table

points = st.lists(
    st.builds(
        lambda size, mean: Point(None, size, 100, Spread({0: mean})),
        st.integers(1, 20),
        st.integers(0, 10).map(lambda tenths: tenths / 10),
    ),
    min_size=1,
    max_size=12,
)


@given(points)
def test_no_point_beats_one_of_the_front_and_every_other_is_beaten(found):
    kept = front(found)

    def beaten(point):
        return any(
            (other.size <= point.size and other.mean >= point.mean)
            and (other.size < point.size or other.mean > point.mean)
            for other in found
        )

    assert {(point.size, point.mean) for point in kept} == {
        (point.size, point.mean) for point in found if not beaten(point)
    }
    assert [point.size for point in kept] == sorted({point.size for point in kept})


def test_a_stored_table_lies_with_its_parameters(make):
    plain = make("svd", 64)
    assert usual_measure(build_table(Collected((plain,)))) == "params"
    assert usual_measure(build_table(Collected((plain, make("svd", 64, storage="int8"))))) == "bytes"
    codes = plain.size.model_copy(update={"embedding": plain.size.embedding.model_copy(update={"bytes": 9_000_000})})
    coded = make("product_quantization", 64).model_copy(update={"size": codes})
    assert usual_measure(build_table(Collected((plain, coded)))) == "bytes"


def test_storages_and_settings_are_lines_of_their_own(make):
    slow = {"optimizer": {"lr": 1e-5}}
    runs = [make("none", None), make("svd", 64), make("svd", 32), make("svd", 64, storage="int8")]
    runs += [make("svd", 64, options=slow), make("none", None, options=slow)]
    table = build_table(Collected(tuple(runs)))
    found = lines(table, table.columns[0], "params")
    assert [line.name for line in found] == [
        "dense (lr=1e-05)",
        "dense (lr=2e-05)",
        "svd (lr=2e-05)",
        "svd (lr=1e-05)",
        "svd int8 (lr=2e-05)",
    ]
    assert [(line.number, line.variant) for line in found] == [(None, 0), (None, 0), (0, 0), (0, 1), (0, 2)]
    assert [len(line.points) for line in found] == [1, 1, 2, 1, 1]
    assert [dense_of(line, found).name for line in found[2:]] == [found[1].name, found[0].name, found[1].name]


def test_a_line_without_a_dense_one_of_its_conditions_borrows_none(make):
    options = [{"optimizer": {"lr": lr}} for lr in (1e-5, 2e-5, 3e-5)]
    runs = [make("none", None, options=options[0]), make("svd", 64, options=options[2])]
    table = build_table(Collected(tuple(runs)))
    found = lines(table, table.columns[0], "params")
    assert dense_of(found[1], found) is None
    table = build_table(Collected((*runs, make("none", None, options=options[1]))))
    found = lines(table, table.columns[0], "params")
    assert dense_of(found[2], found) is None


def test_an_energy_that_comes_to_several_ranks_is_drawn_at_their_mean(make):
    runs = [make("svd", rank, seed, asked="e0.9") for seed, rank in enumerate((60, 70))]
    table = build_table(Collected(tuple(runs)))
    (line,) = lines(table, table.columns[0], "params")
    assert line.points[0].size == 65 * 30906
    assert line.points[0].ratio == pytest.approx(30522 * 384 / (65 * 30906))
