"""The time of a lookup: of how many tokens, and that it leaves a run as it is. How long it takes is not tested."""

from __future__ import annotations

import torch

from embfact.profiling.lookup import lookup_microseconds
from embfact.profiling.report import LOOKUP_TOKENS


def test_a_text_is_looked_up_again_and_again_and_nothing_else_changes() -> None:
    seen = []

    def lookup(ids: torch.Tensor) -> torch.Tensor:
        assert not torch.is_grad_enabled()
        seen.append(ids)
        return ids

    state = torch.get_rng_state()
    found = lookup_microseconds(lookup, 50, torch.device("cpu"))
    assert torch.equal(torch.get_rng_state(), state)
    assert {ids.shape for ids in seen} == {(LOOKUP_TOKENS,)}
    assert all(int(ids.min()) >= 0 and int(ids.max()) < 50 for ids in seen[:16])
    assert len(seen) > 16
    assert 0 < found < 1e6


def test_the_fastest_repetition_counts(monkeypatch) -> None:
    """A clock that says how long each repetition took: 16 lookups in 64 ms, 32 ms, ..."""
    ticks = iter([0.0, 0.064, 1.0, 1.032, 2.0, 2.16, 3.0, 3.048, 4.0, 4.080])
    monkeypatch.setattr("time.perf_counter", lambda: next(ticks))
    assert round(lookup_microseconds(lambda ids: ids, 50, torch.device("cpu"))) == 2000
