"""Film sentences and SST-2 are cut from the same reviews: what was learned on one is never scored on the other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from embfact.cli.train import main as train
from embfact.config.data_config import DataConfig
from tests.helpers.places import CONF

START = ["model.architecture=null", "model.tokenizer=null"]


@pytest.fixture
def movies(runs: Callable[..., Path], sentences: Path) -> Path:
    """A dense run on film sentences."""
    return runs("movie_sentences", f"data.archive={sentences}", "factorization=none")


def test_a_run_is_not_scored_on_texts_that_it_has_learned(
    run: Any, runs: Any, refused: Any, movies: Path, mirror: Path, sentences: Path
) -> None:
    told = "was trained on movie_sentences, which contains texts of"
    refused(run("evaluate.py", movies, "data=sst2", f"paths.data_dir={mirror}"), f"{told} sst2")
    refused(run("evaluate.py", movies, "data=sst2", "data.name=phrases", f"paths.data_dir={mirror}"), f"{told} phrases")
    copy = [f"data.validation_file={mirror}/glue/sst2/validation.parquet", "data.text=sentence"]
    refused(run("evaluate.py", movies, "data=files", *copy), f"{told} files")
    # And the other way round, without a look at the archive.
    refused(
        run("evaluate.py", runs("sst2"), "data=movie_sentences"), "was trained on sst2, which contains texts of movie_s"
    )
    own = run("evaluate.py", movies)
    assert own.code == 0, own.err
    assert "(the run's own)" in own.out
    other = run("evaluate.py", movies, "data=tweets", f"data.archive={sentences}")
    assert other.code == 0, other.err
    assert "(the run's own)" not in other.out
    assert "was trained on rows" not in other.out
    again = run("evaluate.py", movies, "data.report_splits=[train]")
    assert "train: the run was trained on rows of this split" in again.out


def test_nor_is_a_run_that_started_from_its_weights(
    run: Any, runs: Any, refused: Any, movies: Path, mirror: Path, tmp_path: Path, capsys: Any
) -> None:
    start = [*START, f"model.name_or_path={movies}/checkpoint", "factorization=none"]
    later = runs("vader", *start)
    refused(run("evaluate.py", later, "data=sst2", f"paths.data_dir={mirror}"), "was trained on movie_sentences")
    last = runs("vader", *START, f"model.name_or_path={later}/checkpoint", "factorization=none", "seed=1")
    refused(run("evaluate.py", last, "data=sst2", f"paths.data_dir={mirror}"), "was trained on movie_sentences")
    assert run("evaluate.py", last).code == 0
    words = ["data=sst2", f"paths.data_dir={mirror}", "model=bert_scratch", f"output_dir={tmp_path}/refused"]
    for name in (movies, later, last):
        assert train(CONF, [*words, *START, f"model.name_or_path={name}/checkpoint", "factorization=none"]) == 2
        told = capsys.readouterr().err
        assert "model.name_or_path" in told
        assert "movie_sentences" in told
        assert not (tmp_path / "refused").exists()


@pytest.mark.parametrize("data", ["sst2", "movie_sentences"])
def test_nor_are_their_tokens_counted(data: str, mirror: Path, sentences: Path, tmp_path: Path, capsys: Any) -> None:
    corpus = f"evidence.source={mirror}/glue/sst2/train.parquet"
    words = [f"data={data}", f"paths.data_dir={mirror}", "model=bert_scratch", f"output_dir={tmp_path}/refused", corpus]
    assert train(CONF, [*words, "factorization=weighted_svd", "rank=8"]) == 2
    told = capsys.readouterr().err
    assert "evidence.source=training" in told
    assert ("the data itself" if data == "sst2" else "sst2, which contains texts of movie_sentences") in told
    assert not (tmp_path / "refused").exists()


USUAL = {"text": ["text"], "label": "label", "metrics": ["accuracy"], "selection_size": 0}


@pytest.mark.parametrize(
    ("other", "shared"),
    [
        ({"name": "sst2", "source": "vader"}, True),
        ({"name": "mine", "source": "hub", "hub": "nyu-mll/glue", "hub_config": "sst2"}, True),
        ({"name": "mine", "source": "hub", "hub": "somebody/rotten_tomatoes"}, True),
        ({"name": "mine", "source": "files", "train_file": "a/x.csv", "validation_file": "b/sst2/x.csv"}, True),
        ({"name": "mine", "source": "files", "train_file": "a/sst2.csv", "validation_file": "x.csv"}, False),
        ({"name": "cola", "source": "hub", "hub": "nyu-mll/glue", "hub_config": "cola"}, False),
        ({"name": "mine", "source": "vader", "shares_text_with": ["movies"]}, True),
    ],
)
def test_data_sets_know_each_other_by_what_they_are_called_anywhere(other: dict[str, Any], shared: bool) -> None:
    names = ["sst2", "rotten_tomatoes"]
    own = DataConfig.model_validate(USUAL | {"name": "movies", "source": "vader", "shares_text_with": names})
    another = DataConfig.model_validate(USUAL | other)
    assert own.shares_text(another) == another.shares_text(own) == shared
    assert not own.shares_text(own)
