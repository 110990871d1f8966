"""What is checked and planned is what Hydra composes when the job is launched; sweeps expand in Hydra's order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from embfact.config.compose import read_request
from embfact.config.run_config import RunConfig
from embfact.errors import ConfigError
from embfact.factorization.svd import SVD
from embfact.runs.identity import identify
from tests.helpers.places import CONF


def hydras_own(words: list[str]) -> RunConfig:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        values: Any = OmegaConf.to_container(compose("train", words), resolve=True)
    return RunConfig.parse({key: value for key, value in values.items() if key not in ("experiment", "debug")})


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["rank=8", "seed=3", "optimizer.lr=3e-5", "task.dropout=null"],
        ["factorization=weighted_svd", "factorization.smoothing=1", "data=sst2", "data.train_size=100"],
        ["model=bert_scratch", "model.architecture={hidden_size:64,num_hidden_layers:1}"],
        ["model=bert_scratch", "+model.architecture.hidden_act=relu", "++rank=4"],
        ["data=files", "data.train_file='my data/a=b.csv'", "data.validation_file=b.csv", "data.text=[one,two]"],
        ["debug=fast", "trainer.epochs=2", "trainer=cpu"],
        ["experiment=methods_sst2", "hydra.mode=RUN", "data.train_size=null", "rank=${seed}", "seed=5"],
        ["tags=[a,'b c']", "output_dir=out/${experiment_name}", "experiment_name=mine"],
        ["rank=8", "rank=16"],
    ],
    ids=" ".join,
)
def test_a_job_is_checked_as_hydra_composes_it(words: list[str]) -> None:
    (config,) = read_request(CONF, words, multirun=False).configs
    assert config == hydras_own(words)


def test_a_sweep_expands_in_hydras_order() -> None:
    request = read_request(CONF, ["rank=8,16", "seed=range(0,2)", "factorization=svd,random"], multirun=True)
    found = [(config.rank, config.seed, config.factorization.name) for config in request.configs]
    assert found == [(rank, seed, name) for rank in (8, 16) for seed in (0, 1) for name in ("svd", "random")]


def test_what_is_typed_comes_before_the_sweep_of_an_experiment() -> None:
    configs = read_request(CONF, ["experiment=methods_sst2", "seed=7", "rank=8"], multirun=True).configs
    assert {(config.seed, config.rank) for config in configs} == {(7, 8)}
    assert [config.factorization.name for config in configs] == ["svd", "weighted_svd", "random", "albert"]


def test_hydras_own_settings_are_heeded() -> None:
    assert read_request(CONF, ["hydra.mode=MULTIRUN", "seed=0,1"], multirun=False).multirun
    with pytest.raises(ConfigError, match=r"hydra\.mode"):
        read_request(CONF, ["hydra.mode=MULTI"], multirun=False)


def test_a_key_that_a_section_has_not_is_refused_inside_a_dictionary_too() -> None:
    with pytest.raises(ConfigError, match="depth"):
        read_request(CONF, ["model=bert_scratch", "model.architecture={depth:2}"], multirun=False)


def test_a_kept_configuration_is_that_of_the_same_run() -> None:
    words = ["data=vader", "factorization=svd", "factorization.route=qr", "rank=8"]
    (config,) = read_request(CONF, words, multirun=False).configs
    again = RunConfig.parse(config.plain())
    assert again == config
    assert again.factorization == SVD(route="qr")
    assert identify(again).hash == identify(config).hash


def test_a_tilde_is_the_home_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    words = ["data=vader", "output_dir='~/runs'", "paths.cache_dir='~/cache'"]
    (config,) = read_request(CONF, words, multirun=False).configs
    assert config.output_dir == str(tmp_path / "runs")
    assert config.paths.cache_dir == str(tmp_path / "cache")
    assert identify(config).directory.parent == tmp_path / "runs"


KEYS = st.sampled_from(["rank", "seed", "optimizer.lr", "trainer.epochs", "data.metrics", "tags", "force", "nonsense"])
VALUES = st.one_of(
    st.integers().map(str), st.floats().map(str), st.text(max_size=8), st.sampled_from(["null", "[a]", "{a:1}", "true"])
)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(KEYS, VALUES).map("=".join), max_size=3))
def test_whatever_is_typed_is_a_job_or_refused_in_words(words: list[str]) -> None:
    try:
        found = read_request(CONF, words, multirun=False).configs
    except ConfigError as error:
        found = error.errors
    assert found
    assert all(str(thing) for thing in found)
