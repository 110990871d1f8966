"""The default data set, by the commands that a user types first: with its archive, and on a machine without it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from embfact.config.compose import read_request
from embfact.data.sentence_archive import PATH_IN_CACHE, RELEASE
from embfact.results.collect import find_records
from tests.helpers.places import ROOT
from tests.helpers.sentence_index import archive, distribution, serving, written

# The default data set: no data=.
TINY = ["model=bert_scratch", "debug=fast", "trainer=cpu", "logger=none", "output_dir=runs"]
REGRESSION = ["data.target=float", "data.metrics=[pearson,spearman]"]


@pytest.fixture
def command(train: Any, tmp_path: Path) -> Callable[..., Any]:
    """Commands with a cache of the test's own."""
    return lambda *words: train(*TINY, "paths.cache_dir=cache", *words, cwd=tmp_path)


@pytest.fixture
def fetched(tmp_path: Path) -> None:
    """A small archive in that cache."""
    path = tmp_path / "cache" / PATH_IN_CACHE
    path.parent.mkdir(parents=True)
    path.write_bytes(archive())


@pytest.mark.usefixtures("fetched")
def test_what_is_trained_on_without_a_choice_are_film_sentences(command: Any, tmp_path: Path) -> None:
    answer = command("factorization=svd", "rank=8", "-m")
    assert answer.code == 0, answer
    assert re.search(r"\| +movie_sentences accuracy +\|", answer.out)
    # A sample is called one.
    assert "accuracy on test (a sample of 64 rows); trained on a sample of 96 rows, 32 rows of train" in answer.out
    records = find_records([tmp_path / "runs"]).records
    assert {record.data.name for record in records} == {"movie_sentences"}
    assert all("Hutto and Gilbert" in record.data.origin for record in records)
    assert all(str(tmp_path) not in record.data.origin for record in records)


@pytest.mark.usefixtures("fetched")
def test_the_rating_itself_is_a_regression(command: Any, tmp_path: Path) -> None:
    answer = command("factorization=svd", "rank=8", *REGRESSION)
    assert answer.code == 0, answer
    (record,) = find_records([tmp_path / "runs"]).records
    assert list(record.metrics["test"]) == ["pearson", "spearman"]


@pytest.mark.usefixtures("fetched")
def test_the_four_collections_are_runs_of_their_own(command: Any) -> None:
    names = "movie_sentences,tweets,product_sentences,editorial_sentences"
    answer = command(f"data={names}", "rank=8", "baseline=false", "-m", "plan=true")
    assert (answer.code, answer.err) == (0, "")
    lines = answer.out.splitlines()
    runs, summary = lines[: lines.index("")], lines[-1]
    assert len({re.search(r"-(\w{8}) +to do$", run)[1] for run in runs}) == 4
    assert summary.startswith("4 runs")


def test_an_own_copy_needs_no_index(command: Any, sentences: Path, tmp_path: Path) -> None:
    answer = command("rank=8", f"data.archive='{sentences}'", "plan=true")
    assert (answer.code, answer.err) == (0, "")
    refused = command("rank=8", "data.archive=absent.tar.gz")
    assert refused.code == 2
    assert "data.archive" in refused.err
    assert "absent.tar.gz" in refused.err
    assert not (tmp_path / "cache" / PATH_IN_CACHE).exists()


def test_without_an_index_nothing_is_started_and_nothing_heavy_imported(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from embfact.cli.train import main\n"
        f"code = main(Path({str(ROOT / 'conf')!r}), {[*TINY, 'paths.cache_dir=cache', 'rank=8,16', '-m']!r})\n"
        "print(code, sorted({'torch', 'transformers', 'pyarrow', 'datasets', 'requests'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stdout.split(maxsplit=1)[0] == "2"
    assert not {"torch", "transformers", "pyarrow"} & set(re.findall(r"'(\w+)'", done.stdout))
    for word in (PATH_IN_CACHE, "PIP_NO_INDEX", "PIP_INDEX_URL", "data.archive", "data=vader"):
        assert word in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("fetching") == 1
    assert written(tmp_path) == []


def test_an_index_with_another_file_is_refused_before_anything_is_started(
    command: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving() as index:
        index.serve(distribution(archive()))
        monkeypatch.delenv("PIP_NO_INDEX")
        monkeypatch.setenv("PIP_INDEX_URL", index.url.replace("//", "//me:secret@"))
        answer = command("rank=8")
    assert answer.code == 2
    assert f"not {RELEASE.sha256[:8]}" in answer.err
    assert index.url in answer.err
    assert "secret" not in answer.err
    assert written(tmp_path) == []


def test_a_question_about_the_configuration_needs_no_archive(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "train.py"), *TINY, "paths.cache_dir=cache", "--cfg", "job"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    assert "collection: movies" in done.stdout
    assert written(tmp_path) == []


def test_a_damaged_archive_fails_its_run_in_words(command: Any, tmp_path: Path) -> None:
    path = tmp_path / "cache" / PATH_IN_CACHE
    path.parent.mkdir(parents=True)
    path.write_bytes(archive()[:-100])
    answer = command("rank=8")
    assert answer.code == 1
    assert "remove it" in answer.out + answer.err
    assert "Traceback" not in answer.out + answer.err


def test_make_sweep_is_one_epoch_on_a_sample_of_the_default_data(conf: Path) -> None:
    done = subprocess.run(["make", "-n", "-o", ".venv/.installed", "sweep"], capture_output=True, text=True, cwd=ROOT)
    (line,) = (line for line in done.stdout.splitlines() if "train.py" in line)
    words = line.partition("train.py ")[2].split()
    assert words[-1] == "-m"
    configs = read_request(conf, words[:-1], multirun=True).configs
    assert [(config.factorization.name, config.rank) for config in configs] == [
        ("svd", rank) for rank in (64, 128, 256)
    ]
    for config in configs:
        assert (config.data.name, config.trainer.epochs) == ("movie_sentences", 1)
        assert (config.data.train_size, config.data.eval_size) == (2500, 1000)
    assert f"python train.py {' '.join(words)}" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_fetching_them_is_a_command_of_its_own(tmp_path: Path) -> None:
    def fetch() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(ROOT / "scripts" / "fetch_sentences.py")]
        environment = os.environ | {"EMBFACT_CACHE_DIR": str(tmp_path)}
        return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)

    missing = fetch()
    assert missing.returncode == 2
    assert "PIP_INDEX_URL" in missing.stderr
    assert "Traceback" not in missing.stderr
    (tmp_path / PATH_IN_CACHE).parent.mkdir()
    (tmp_path / PATH_IN_CACHE).write_bytes(archive())
    there = fetch()
    assert (there.returncode, there.stderr) == (0, "")
    assert str(tmp_path / PATH_IN_CACHE) in there.stdout


# Makes an environment whose Python is this one, in which pip has nothing to do.
PYTHON = """#!/bin/sh
test "$2" = venv || exit 0
mkdir -p .venv/bin
printf '#!/bin/sh\\ntest "$2" = pip || exec {python} "$@"\\n' > .venv/bin/python
chmod +x .venv/bin/python
"""


def test_an_installation_without_an_index_for_them_says_so_and_is_one(tmp_path: Path) -> None:
    for name in ("Makefile", "conf", "scripts", "requirements.lock", "pyproject.toml"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "python").write_text(PYTHON.format(python=sys.executable))
    (tmp_path / "python").chmod(0o755)
    environment = os.environ | {"EMBFACT_CACHE_DIR": str(tmp_path / "cache")}
    command = ["make", "install", f"PYTHON={tmp_path}/python"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert "fetch_sentences.py: the rated sentences are missing" in done.stderr
    assert "data=vader" in done.stderr
    assert (tmp_path / ".venv" / ".installed").is_file()
