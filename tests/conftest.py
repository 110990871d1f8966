"""What all tests share: no network, a cache of their own, and the command line within this process."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import settings

from embfact.cli.train import main
from embfact.data.sentence_archive import PATH_IN_CACHE
from embfact.models.backbones import resolve
from embfact.runs.record import RunRecord
from embfact.runs.tidy import default_cache_dir
from tests.helpers.commands import Answer
from tests.helpers.composition import composed_once
from tests.helpers.places import CONF
from tests.helpers.records import make_record
from tests.helpers.sentence_index import archive

# Read when the hub library is imported: no test may wait for a network.
os.environ["HF_HUB_OFFLINE"] = "1"
# Nor may one look for a package: those of the index have one of their own on this machine.
os.environ |= {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull}
for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS"):
    os.environ.pop(name, None)
# Parallel tests set it; where a test says nothing else, output is a pipe's and takes any width.
os.environ.pop("COLUMNS", None)
# Where the caches are when no test is running.
CACHE = default_cache_dir()
# How long an example takes says how busy the machine is, and nothing of the code.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")
# A shell without job control starts what is in the background with Ctrl-C ignored, and embfact leaves it at that: tests
# that send it must not depend on how they were started.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        # What the default data set would fetch; a test that wants to see that has a cache of its own.
        (folder / PATH_IN_CACHE).parent.mkdir()
        (folder / PATH_IN_CACHE).write_bytes(archive())
        patch.setenv("EMBFACT_CACHE_DIR", str(folder))
        yield


@pytest.fixture(scope="session", autouse=True)
def _composed_once() -> Iterator[None]:
    with composed_once():
        yield


@pytest.fixture(scope="session")
def conf() -> Path:
    """The project's configuration."""
    return CONF


@pytest.fixture(scope="session")
def make() -> Callable[..., RunRecord]:
    """A maker of records: see `make_values`."""
    return make_record


@pytest.fixture(scope="session")
def train() -> Callable[..., Answer]:
    """``python train.py WORDS`` in the folder ``cwd``, without a process of its own."""

    def call(*words: object, cwd: Path) -> Answer:
        out, err = io.StringIO(), io.StringIO()
        with mock.patch.dict(os.environ), contextlib.chdir(cwd):
            os.environ.pop("EMBFACT_DATA_DIR", None)
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                code = main(CONF, [str(word) for word in words])
        if "torch" in sys.modules:
            # A training makes the whole process deterministic, which the next test has not asked for.
            sys.modules["torch"].use_deterministic_algorithms(False)
        return Answer(code, out.getvalue(), err.getvalue())

    return call


@pytest.fixture(scope="session")
def tiny() -> list[str]:
    """Overrides that make a run a matter of a second."""
    return ["model=bert_scratch", "data=vader", "debug=fast", "trainer=cpu", "logger=none"]


@pytest.fixture(scope="session")
def sentences() -> Path:
    """A small made-up archive of rated sentences, for ``data.archive`` where a test has a cache of its own."""
    return default_cache_dir() / PATH_IN_CACHE


@pytest.fixture(scope="session")
def real_sentences() -> Path:
    """The folder of the caches with the paper's own archive, which no test fetches."""
    if not (CACHE / PATH_IN_CACHE).is_file():
        pytest.skip(f"{CACHE / PATH_IN_CACHE} is not there; python scripts/fetch_sentences.py fetches it")
    return CACHE


@pytest.fixture(scope="session")
def small_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MiniLM's tokenizer with the 3,000 word pieces of the smallest ids alone: small tables are quick to factorize."""
    source, folder = resolve("packaged:minilm"), tmp_path_factory.mktemp("tokenizer")
    content = json.loads((Path(source) / "tokenizer.json").read_text(encoding="utf-8"))
    content["model"]["vocab"] = {word: token for word, token in content["model"]["vocab"].items() if token < 3000}
    (folder / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
    shutil.copy(Path(source) / "tokenizer_config.json", folder)
    return folder


@pytest.fixture(scope="session")
def files_below() -> Callable[[Path], dict[str, int]]:
    """Every file and folder below a folder, with the time of its last change."""
    return lambda folder: {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*")}
