"""A plan tells the sizes of its runs before they are trained."""

from __future__ import annotations

from typing import Any

import pytest

from embfact.runs.record import read
from embfact.sweep.sizes import size_lines
from tests.sweep.test_planner import planned_runs


def sizes(*words: str) -> dict[str, list[str]]:
    """Method and rank -> parameters and bytes of embedding and model."""
    lines = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in size_lines(planned_runs(*words)) if "|" in line
    ]
    return {" ".join(line[:-4]): line[-4:] for line in lines[2:]}


def test_seeds_share_a_line() -> None:
    assert list(sizes("factorization=svd", "rank=8,16", "seed=0,1")) == ["none \u2013", "svd 8", "svd 16"]


def test_a_size_that_the_data_decide_is_not_guessed() -> None:
    assert sizes("factorization=svd", "energy=0.9")["svd e0.9"] == ["\u2013"] * 4
    assert sizes("factorization=svd", "budget=0.1")["svd 12"][0] == "368k (9.4%)"


def test_a_bound_is_called_one() -> None:
    assert any("group_svd: at most" in line for line in size_lines(planned_runs("factorization=group_svd", "rank=8")))
    assert not any("at most" in line for line in size_lines(planned_runs("factorization=svd", "rank=8")))


def test_on_a_narrow_terminal_shares_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = size_lines(planned_runs("factorization=weighted_svd", "rank=8", "storage=int8"))
    assert max(map(len, lines)) <= 80
    assert not any("%" in line for line in lines)


@pytest.mark.parametrize("method", ["svd", "albert", "product_quantization"])
@pytest.mark.parametrize("storage", ["float32", "int8"])
def test_what_was_planned_is_what_is_saved(
    method: str, storage: str, train: Any, tiny: list[str], tmp_path: Any
) -> None:
    words = [f"factorization={method}", "rank=8", f"storage={storage}", "output_dir=runs"]
    planned = train(*tiny, *words, "plan=true", cwd=tmp_path).out
    assert train(*tiny, *words, cwd=tmp_path).code == 0
    (path,) = tmp_path.glob("runs/*/")
    assert read(path).size
    after = train(*tiny, *words, "plan=true", cwd=tmp_path).out
    tables = [[line for line in out.splitlines() if line.startswith("|")] for out in (planned, after)]
    assert tables[0] == tables[1]
