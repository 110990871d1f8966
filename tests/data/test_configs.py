"""Every file in conf/data is a data set that composes, names its command, and says what GLUE says."""

from __future__ import annotations

from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from embfact.config.data_config import DataConfig
from tests.helpers.places import CONF

NAMES = sorted(path.stem for path in (CONF / "data").glob("*.yaml"))
GLUE = {
    "cola": (["matthews"], {"test": "CoLA.tsv"}),
    "sst2": (["accuracy"], {"test": "SST-2.tsv"}),
    "mrpc": (["accuracy", "f1"], {"test": "MRPC.tsv"}),
    "stsb": (["pearson", "spearman"], {"test": "STS-B.tsv"}),
    "qqp": (["accuracy", "f1"], {"test": "QQP.tsv"}),
    "mnli": (["accuracy"], {"test_matched": "MNLI-m.tsv", "test_mismatched": "MNLI-mm.tsv"}),
    "qnli": (["accuracy"], {"test": "QNLI.tsv"}),
    "rte": (["accuracy"], {"test": "RTE.tsv"}),
    "wnli": (["accuracy"], {"test": "WNLI.tsv"}),
}


def composed(name: str) -> dict[str, Any]:
    with initialize_config_dir(str(CONF), version_base=None):
        values: Any = OmegaConf.to_container(compose(overrides=[f"+data={name}"]))
    return values["data"]


@pytest.mark.parametrize("name", NAMES)
def test_the_file_composes_to_a_data_set_of_its_name(name: str) -> None:
    values = composed(name)
    if name == "files":
        values |= {"train_file": "train.csv", "validation_file": "valid.csv"}
    assert DataConfig.model_validate(values).name == name


@pytest.mark.parametrize("name", NAMES)
def test_what_a_user_may_set_on_the_command_line_is_in_the_file(name: str) -> None:
    settable = {"train_size", "eval_size", "max_length", "split_seed", "selection_size", "selection_groups", "revision"}
    assert settable <= set(composed(name))


@pytest.mark.parametrize("name", NAMES)
def test_the_header_holds_the_command(name: str) -> None:
    assert f"python train.py data={name} " in (CONF / "data" / f"{name}.yaml").read_text(encoding="utf-8")


def test_all_of_glue_is_there_with_its_official_metrics_and_file_names() -> None:
    configs = {name: DataConfig.model_validate(composed(name)) for name in GLUE}
    assert {name: (data.metrics, data.submission) for name, data in configs.items()} == GLUE
    assert {data.hub for data in configs.values()} == {"nyu-mll/glue"}
    assert all(data.hub_config == name and data.mirror == f"glue/{name}" for name, data in configs.items())
    assert configs["mnli"].report_splits == ["validation_matched", "validation_mismatched"]
