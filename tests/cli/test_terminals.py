"""Every command prints on any terminal: what it lacks is written otherwise, and nothing that was done is lost."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from embfact.cli.train import main
from embfact.system.terminal import open_streams
from tests.helpers.commands import BAD, GOOD, TINY, Answer, environment, main_of
from tests.helpers.places import CONF, ROOT

LABELS = ("übel", "schön 日本")
TABLES = [("table.py", "{runs}", "--format", form) for form in ("md", "latex", "html", "csv", "json")]
LISTS = [("runs.py", "list", "{runs}"), ("runs.py", "list", "{runs}", "--json"), ("runs.py", "show", "{run}")]
LISTS += [("runs.py", "caches"), ("runs.py", "retry", "{runs}", "--plan")]
PAGES = [("plot.py", "{runs}", "--output", "ä.svg"), ("dashboard.py", "{runs}", "-o", "ä.html")]
PAGES += [("report.py", "{runs}", "--output", "bericht ä", "--no-analysis")]
USES = [
    ("evaluate.py", "{run}"),
    ("predict.py", "{run}", "--text", "café 日本"),
    ("wandb_workspace.py", "me/x", "--dry-run"),
]
MODEL = "model.name_or_path='{run}/checkpoint'"
USES += [("factorize.py", MODEL, "data=vader", "rank=4", "data.train_size=60", "table=tä.md")]
USES += [("analyze.py", MODEL, "data=vader", "rank=4", "data.train_size=60", "data.eval_size=20", "--output", "ä")]


@pytest.fixture(scope="session")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a dense and a factorized run; their data, labels and folders are not ASCII."""
    folder = tmp_path_factory.mktemp("daten-ä")
    rows = [f"{text},{label}" for texts, label in zip((BAD, GOOD), LABELS, strict=True) for text in texts]
    for name in ("train", "valid"):
        (folder / f"{name}-ü.csv").write_text("\n".join(["text,label", *rows, f'"{name} é",{LABELS[0]}']), "utf-8")
    files = [f"data.train_file='{folder}/train-ü.csv'", f"data.validation_file='{folder}/valid-ü.csv'"]
    words = ["data=files", "data.name='näme'", "data.selection_size=4", "tags=['é']", f"output_dir='{folder}/läufe'"]
    assert main(CONF, [*TINY, *files, *words, f"paths.cache_dir='{folder}/cache'", "-m"]) == 0
    return folder / "läufe"


@pytest.fixture(scope="session")
def dense(sweep: Path) -> Path:
    """The dense run of the sweep."""
    return next(sweep.glob("*-none-*"))


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Answer]:
    """Calls a script in this process, on a terminal of some encoding."""
    monkeypatch.setenv("EMBFACT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)

    def call(encoding: str, script: str, *arguments: str) -> Answer:
        streams = [io.TextIOWrapper(io.BytesIO(), encoding, write_through=True) for _ in range(2)]
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", streams[0])
            patch.setattr(sys, "stderr", streams[1])
            open_streams()
            try:
                code = main_of(script)(list(arguments))
            except SystemExit as left:
                code = int(left.code or 0)
        out, err = (stream.buffer.getvalue().decode(encoding) for stream in streams)  # type: ignore[attr-defined]
        return Answer(code, out, err)

    return call


@pytest.mark.parametrize("words", [*TABLES, *LISTS, *PAGES, *USES], ids=lambda words: " ".join(words[:2]))
def test_each_command_prints_what_an_ascii_terminal_takes(
    words: tuple[str, ...], printed: Callable[..., Answer], sweep: Path, dense: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("embfact.analysis.files.plots", lambda _: {})  # they take most of the time
    filled = [word.format(run=dense, runs=sweep) for word in words]
    done = printed("ascii", *filled)
    assert done.code == 0, done
    assert done.out + done.err != ""


@pytest.mark.parametrize(
    ("encoding", "line"),
    [
        ("utf-8", "café 日本 ±"),
        ("latin-1", r"café \u65e5\u672c ±"),
        ("cp1252", r"café \u65e5\u672c ±"),
        ("ascii", r"caf\xe9 \u65e5\u672c +-"),
    ],
)
def test_a_terminal_gets_what_it_takes_as_it_is(
    encoding: str, line: str, printed: Callable[..., Answer], dense: Path
) -> None:
    done = printed(encoding, "predict.py", str(dense), "--text", "café 日本 ±")
    assert (done.code, done.err) == (0, "")
    assert line in done.out


SWEEP = ["model=bert_scratch", "data=vader", "debug=fast", "trainer=cpu", "logger=none", "factorization=svd", "rank=8"]


@pytest.mark.parametrize(
    "terminal",
    [
        pytest.param({"PYTHONIOENCODING": "ascii"}, id="ascii"),
        pytest.param({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, id="C", marks=pytest.mark.slow),
    ],
)
def test_a_sweep_prints_its_last_line(terminal: dict[str, str], tmp_path: Path) -> None:
    where = {**environment(**terminal), "EMBFACT_CACHE_DIR": str(tmp_path / "cache")}
    if "PYTHONIOENCODING" not in terminal:
        del where["PYTHONIOENCODING"]
    words = [*SWEEP, "output_dir='läufe'", "tags=['é']", "hydra/launcher=parallel", "hydra.launcher.runs=1", "-m"]
    done = subprocess.run(
        [sys.executable, str(ROOT / "train.py"), *words], cwd=tmp_path, env=where, capture_output=True, check=False
    )
    out = done.stdout.decode("ascii")
    assert (done.returncode, done.stderr) == (0, b"")
    assert "mean +- sample standard deviation" in out
    assert out.splitlines()[-2] == r"wrote l\xe4ufe"
    assert len(list((tmp_path / "läufe").glob("*/record.json"))) == 2


def test_the_locale_without_characters_is_no_limit_for_texts(dense: Path, tmp_path: Path) -> None:
    where = environment(LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    del where["PYTHONIOENCODING"]
    command = [sys.executable, str(ROOT / "scripts" / "predict.py"), str(dense), "--text", "café"]
    done = subprocess.run([*command, "--output", "ä.csv"], cwd=tmp_path, env=where, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"wrote \\xe4.csv\n", b"")
    assert "café" in (tmp_path / "ä.csv").read_text("utf-8")
