"""Methods whose names promise the setting of a paper say where theirs differs."""

from __future__ import annotations

import pytest

from embfact.config.compose import hydra_session
from embfact.config.run_config import RunConfig
from embfact.runs.facts import facts_of
from embfact.runs.identity import identify
from tests.helpers.places import CONF


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        (["factorization=fisher_svd"], "model.from_run"),
        (["factorization=product_quantization", "rank=32"], "straight_through"),
        (["factorization=product_quantization", "rank=32", "factorization.fine_tuning=straight_through"], None),
        (["factorization=svd"], None),
    ],
)
def test_the_record_of_a_run_says_it(words: list[str], remedy: str | None) -> None:
    with hydra_session(CONF) as composer:
        config = RunConfig.parse(composer.values(["data=vader", *words])[0])
    caveat = facts_of(config, identify(config)).method.caveat
    assert caveat is None if remedy is None else remedy in (caveat or "")
