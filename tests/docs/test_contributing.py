"""The two worked examples of CONTRIBUTING.md, executed as they are printed there."""

import csv
import re
import shutil

import pytest

import embfact.factorization
from embfact.cli.train import main
from embfact.results.collect import find_records
from tests.helpers.places import CONF, ROOT

EXAMPLES = dict(re.findall(r"^`(\S+)`\n\n```\w+\n(.*?)```$", (ROOT / "CONTRIBUTING.md").read_text(), re.M | re.S))
TINY = ["model=bert_scratch", "data=vader", "debug=fast", "logger=none", "output_dir=runs"]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with the project's conf/, to which the examples are added without touching the project."""
    shutil.copytree(CONF, tmp_path / "conf")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(embfact.factorization, "__path__", [*embfact.factorization.__path__, str(tmp_path / "methods")])
    return tmp_path


def test_both_examples_are_found():
    assert len(EXAMPLES) == 3


def test_a_factorization_is_one_file_and_one_yaml(project):
    (project / "methods").mkdir()
    method = EXAMPLES["src/embfact/factorization/random_projection.py"]
    (project / "methods/random_projection.py").write_text(method)
    (project / "conf/factorization/random_projection.yaml").write_text(
        EXAMPLES["conf/factorization/random_projection.yaml"]
    )
    assert main(project / "conf", [*TINY, "factorization=random_projection", "rank=8"]) == 0
    (record,) = find_records(["runs"]).records
    assert record.status == "finished"
    assert (record.method.name, record.method.rank) == ("random_projection", 8)
    assert record.size.embedding.parameters == 8 * (30522 + 128)


def test_a_data_set_is_one_yaml(project):
    for name, rows in (("train", 80), ("valid", 40)):
        with (project / f"reviews_{name}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["review", "stars"])
            writer.writerows([f"{name} review number {row}", row % 5 + 1] for row in range(rows))
    (project / "conf/data/reviews.yaml").write_text(EXAMPLES["conf/data/reviews.yaml"])
    small = ["data.train_size=64", "data.eval_size=32", "trainer.max_steps=2"]
    words = ["model=bert_scratch", "logger=none", "output_dir=runs", "data=reviews", "rank=8", *small]
    assert main(project / "conf", words) == 0
    (record,) = find_records(["runs"]).records
    assert record.data.rows == {"train": 64, "selection": 8, "validation": 32}
    assert 0 <= record.metrics["validation"]["accuracy"] <= 1
