"""Bad input is refused before anything starts: exit code 2, a few lines that name option and remedy, nothing left."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import embfact
from tests.helpers.places import ROOT

Real = Callable[[list[str], Path], tuple[int, str, str, set[str]]]
TRAIN = ROOT / "train.py"
GOOD = ["model=bert_scratch", "data=vader", "logger=none", "rank=16", "output_dir=runs"]
HEAVY = {"torch", "transformers", "pytorch_lightning", "datasets", "pandas", "wandb"}


@dataclass(frozen=True)
class Bad:
    """A kind of bad input.

    Attributes:
        words: Overrides with one error; they come after good ones.
        told: What the message must hold: the option, and what is valid.
        sweep: Words that make it a sweep, where the detail may be one of the values; none where a sweep mends it.
    """

    words: tuple[str, ...]
    told: tuple[str, ...]
    sweep: tuple[str, ...] = ("seed=0,1", "-m")


def bad(words: str, *told: str, sweep: str = "seed=0,1 -m") -> Bad:
    return Bad(tuple(words.split()), told, tuple(sweep.split()))


FILES = "data=files data.train_file=train.csv data.validation_file=valid.csv"
MINILM = "model=minilm model.name_or_path="

BAD = {
    # Words and names
    "misspelt option": bad("rnak=16", "rnak", "'rank'"),
    "option of another section": bad("batch_size=8", "batch_size", "'trainer.batch_size'"),
    "misspelt option of a section": bad("trainer.epoch=2", "trainer.epoch", "'trainer.epochs'"),
    "added unknown option": bad("+trainer.speed=2", "trainer.speed", "epochs"),
    "unknown group": bad("factorisation=svd", "factorisation", "'factorization'"),
    "misspelt choice of a group": bad("factorization=svdd", "factorization", "'svd'"),
    "unknown choice of a group": bad("data=books", "data", "vader", "sst2"),
    "no choice of a group": bad("data=null", "data", "vader"),
    "two choices of a group": bad("factorization=[svd,random]", "factorization", "-m"),
    "misspelt choice in a list": bad("factorization=svd,randm", "factorization", "'random'", sweep="-m"),
    "unknown experiment": bad("experiment=methods_sst", "experiment", "'methods_sst2'"),
    "unknown debug": bad("debug=slow", "debug", "fast"),
    "no override": bad("rank", "'rank'", "key=value"),
    "no key": bad("=16", "'=16'", "key=value"),
    "list without -m": bad("rank=16,32", "rank=16,32", "-m", sweep=""),
    "unknown flag": bad("--fast", "--fast", "--help"),
    "unknown launcher": bad("hydra/launcher=cluster", "hydra/launcher", "basic"),
    "unknown option of Hydra": bad("hydra.speed=2", "hydra.speed", "hydra.launcher.OPTION"),
    "option of another method": bad("factorization=random factorization.route=qr", "factorization.route"),
    "unknown method": bad("factorization._target_=os.path", "factorization._target_", "svd.SVD"),
    "loop of references": bad("seed=${seed}", "seed", sweep="seed=1,${seed} -m"),
    # Numbers
    "rank 0": bad("rank=0", "rank", "greater than or equal to 1"),
    "negative rank": bad("rank=-4", "rank", "greater than or equal to 1", sweep="rank=8,-4 -m"),
    "rank in words": bad("rank=ten", "rank", "integer", "'ten'"),
    "fractional rank": bad("rank=2.5", "rank", "integer"),
    "rank true": bad("rank=true", "rank", "inner dimension"),
    "no rank": bad("rank=null", "exactly one of rank, budget and energy"),
    "rank and budget": bad("budget=0.1", "exactly one of rank, budget and energy", "rank=16, budget=0.1"),
    "budget and energy": bad("rank=null budget=0.1 energy=0.9", "exactly one", "budget=0.1, energy=0.9"),
    "budget 0": bad("rank=null budget=0", "budget", "greater than 0", sweep="budget=0.1,0 -m"),
    "negative budget": bad("rank=null budget=-0.1", "budget", "greater than 0"),
    "budget above 1": bad("rank=null budget=1.5", "budget", "less than or equal to 1"),
    "budget in words": bad("rank=null budget=small", "budget", "number", "'small'"),
    "budget without room": bad("rank=null budget=0.0001", "budget 0.0001 of the bytes", "svd", "or more"),
    "budget without room for the method": bad(
        "rank=null budget=0.01 factorization=group_svd", "budget 0.01", "group_svd", "it takes 0.02"
    ),
    "budget of parameters without room": bad("rank=null budget=0.0001 budget_unit=params", "of the params"),
    "misspelt unit": bad("rank=null budget=0.1 budget_unit=parms", "budget_unit", "'params'"),
    "energy above 1": bad("rank=null energy=90", "energy", "less than or equal to 1"),
    "energy of a method without one": bad("rank=null energy=0.9 factorization=random", "random", "set rank or budget"),
    "unknown storage": bad("storage=int5", "storage", "'int4'", sweep="storage=int8,int5 -m"),
    "no such group": bad("storage=int4 storage_group=48", "storage_group", "48", "row", sweep="storage_group=64,48 -m"),
    "misspelt group": bad("storage=int4 storage_group=rows", "storage_group", "'row'"),
    "misspelt quantization": bad("storage=int8 quantization=awar", "quantization", "'aware'"),
    "quantization of float32": bad("quantization=aware", "quantization=aware needs storage=int8"),
    "rank below the smallest": bad("factorization=group_svd rank=1", "too small for group_svd", "or more"),
    "rank that does not shrink": bad("model=minilm rank=380", "rank 380", "30522 x 384", "379"),
    "negative seed": bad("seed=-1", "seed", "greater than or equal to 0", sweep="seed=0,-1 -m"),
    "seed of 33 bits": bad("seed=4294967296", "seed", "less than 4294967296", sweep="seed=0,4294967296 -m"),
    "rate 0": bad("optimizer.lr=0", "optimizer.lr", "greater than 0", sweep="optimizer.lr=1e-4,0 -m"),
    "rate not a number": bad("optimizer.lr=nan", "optimizer.lr", "finite"),
    "rate in words": bad("optimizer.lr=high", "optimizer.lr", "number"),
    "no epochs": bad("trainer.epochs=0", "trainer.epochs", "greater than or equal to 1"),
    "empty batches": bad("trainer.batch_size=0", "trainer.batch_size", "greater than or equal to 1"),
    "dropout above 1": bad("task.dropout=1.5", "task.dropout", "less than 1"),
    "moments above 1": bad("optimizer.betas=[0.9,2]", "optimizer.betas", "less than 1"),
    "a seed of rows that is a word": bad("data.split_seed=foo", "data.split_seed", "or seed"),
    "a seed of rows below 0": bad("data.split_seed=-1", "data.split_seed", "or seed"),
    "held-out share above 1": bad("data.selection_size=1.5", "data.selection_size", "share below 1"),
    "switch in words": bad("force=perhaps", "force", "true or false"),
    # Choices
    "unknown batching": bad("trainer.batching=words", "trainer.batching", "rows", "tokens"),
    "flash attention in 32 bits": bad(
        "trainer.attention=flash_attention_2", "trainer.precision=32-true", "trainer=gpu"
    ),
    "unknown precision": bad("trainer.precision=17", "trainer.precision", "32-true", "bf16-mixed"),
    "misspelt metric": bad("data.metrics=[acuracy]", "data.metrics", "'accuracy'"),
    "no metric": bad("data.metrics=[]", "data.metrics", "at least 1"),
    "metric of a regression": bad("data.metrics=[pearson]", "pearson", "data.target=class", "accuracy"),
    "misspelt checkpoint": bad("checkpoint=bets", "checkpoint", "'best'"),
    "best without held-out rows": bad("data.selection_size=0", "checkpoint=best", "data.selection_size above 0"),
    "patience without held-out rows": bad(
        "data.selection_size=0 checkpoint=last trainer.patience=2", "trainer.patience", "data.selection_size above 0"
    ),
    "tag that is no list": bad("tags=pilot", "tags", "list"),
    "experiment that is a path": bad("experiment_name=a/b", "experiment_name", "pattern"),
    "experiment that is the folder above": bad("experiment_name=..", "experiment_name", "pattern"),
    # Files and folders
    "unknown data file": bad(f"{FILES} data.train_file=tain.csv", "data.train_file", "tain.csv", "existing file"),
    "no data files": bad("data=files", "data.train_file=FILE", "data.validation_file=FILE"),
    "trained on and reported on": bad("data.report_splits=[train]", "data.report_splits", "leave it out"),
    "the same file twice": bad(f"{FILES} data.validation_file=train.csv", "data.validation_file", "give another"),
    "compressed data file": bad(f"{FILES} data.train_file=train.csv.gz", "data.train_file=train.csv.gz", ".parquet"),
    "labels of other classes": bad(f"{FILES} data.validation_file=words.csv", "words.csv, line 2", "0, 1", "bad, good"),
    "one class": bad("data.label_names=[good]", "data.label_names", "two or more"),
    "flag of Hydra's": bad("--config-name=other", "--config-name", "--config-dir"),
    "no such user": bad("output_dir='~nosuchuser/x'", "output_dir", "path"),
    "longer than the model": bad(
        "model=minilm model.name_or_path=packaged:minilm model.architecture=null "
        "model.tokenizer=null data.max_length=600",
        "data.max_length",
        "512",
    ),
    "unknown data folder": bad("paths.data_dir=nowhere", "paths.data_dir", "EMBFACT_DATA_DIR", "existing folder"),
    "unknown model folder": bad(f"{MINILM}./nowhere", "./nowhere", "model.name_or_path"),
    "unknown tokenizer folder": bad("model.tokenizer=./nowhere", "./nowhere", "set model.tokenizer"),
    "model folder without a model": bad(f"{MINILM}{{tmp}}/empty", "config.json", "directory of a saved model"),
    "model folder without weights": bad(f"{MINILM}{{tmp}}/bare", "model.safetensors", "directory of a saved model"),
    "model folder without a shard": bad(f"{MINILM}{{tmp}}/sharded", "lacks 1 of the 2 files", "model-2.safetensors"),
    "compressed model": bad(f"{MINILM}{{tmp}}/small", "model small is already compressed", "the dense model"),
    "model in a pickle": bad(f"{MINILM}{{tmp}}/pickled", "pytorch_model.bin", "convert it to model.safetensors"),
    "model that is a file": bad(f"{MINILM}{{tmp}}/train.csv", "train.csv", "directory"),
    "unknown packaged model": bad(f"{MINILM}packaged:minlm", "minlm", "'minilm'"),
    "two models": bad("model.name_or_path=packaged:minilm", "model.name_or_path", "model.architecture"),
    "ALBERT's table": bad(f"{MINILM}{{tmp}}/albert", "30000 x 128", "factorization=none", "refactorize_existing=true"),
    "ELECTRA's table": bad(f"{MINILM}{{tmp}}/electra", "30522 x 128", "factorization=none"),
    "folder below a file": bad("output_dir={tmp}/train.csv/runs", "output_dir", "writable folder"),
    "empty folder name": bad("output_dir=", "output_dir", "empty"),
}
# Twenty of them, with some of each stage that can refuse, through a process of their own.
REAL = [
    "misspelt option",
    "option of another section",
    "added unknown option",
    "unknown group",
    "misspelt choice of a group",
    "unknown experiment",
    "no override",
    "unknown flag",
    "rank that does not shrink",
    "unknown data file",
    "unknown data folder",
    "trained on and reported on",
    "one class",
    "unknown model folder",
    "model in a pickle",
    "unknown packaged model",
    "two models",
    "ALBERT's table",
    "folder below a file",
    "empty folder name",
]


def encoder(folder: Path, *weights: str, **config: Any) -> None:
    """A checkpoint folder as far as it can be checked without loading it."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    for name in weights:
        (folder / name).write_bytes(b"")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working directory with the files that some of the commands name."""
    (tmp_path / "train.csv").write_text("text,label\na fine film,1\na dull film,0\n")
    (tmp_path / "valid.csv").write_text("text,label\na good film,1\na poor film,0\n")
    (tmp_path / "words.csv").write_text("text,label\na good film,good\na poor film,bad\n")
    (tmp_path / "empty").mkdir()
    bert = {"model_type": "bert", "hidden_size": 768, "vocab_size": 30522}
    encoder(tmp_path / "bare", **bert)
    encoder(tmp_path / "pickled", "pytorch_model.bin", **bert)
    encoder(tmp_path / "sharded", "model-1.safetensors", **bert)
    names = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    (tmp_path / "sharded" / "model.safetensors.index.json").write_text(json.dumps(names))
    encoder(tmp_path / "small", "model.safetensors", embfact={"method": "albert", "adapter": {}}, **bert)
    factorized = {"hidden_size": 768, "embedding_size": 128}
    encoder(tmp_path / "albert", "model.safetensors", model_type="albert", vocab_size=30000, **factorized)
    encoder(tmp_path / "electra", "model.safetensors", model_type="electra", vocab_size=30522, **factorized)
    return tmp_path


def check(err: str, case: Bad) -> None:
    lines = err.strip().splitlines()
    assert len(lines) <= 5, err
    assert lines[0].startswith("embfact: nothing was started; ")
    assert "Traceback" not in err
    assert [words for words in case.told if words not in err] == [], err


def words_of(case: Bad, folder: Path, *, sweep: bool) -> list[str]:
    return [*GOOD, *(word.replace("{tmp}", str(folder)) for word in case.words), *(case.sweep if sweep else ())]


ALONE = [pytest.param(case, False, id=f"{name}-run") for name, case in BAD.items()]
SWEPT = [pytest.param(case, True, id=f"{name}-sweep") for name, case in BAD.items() if case.sweep]


@pytest.mark.parametrize(("case", "sweep"), [*ALONE, *SWEPT])
def test_bad_input_is_refused_in_words(case: Bad, sweep: bool, train: Any, folder: Path, files_below: Any) -> None:
    before = files_below(folder)
    answer = train(*words_of(case, folder, sweep=sweep), cwd=folder)
    assert answer.code == 2, answer
    assert answer.out == ""
    check(answer.err, case)
    assert files_below(folder) == before


# A process that has imported what every command needs, and forks for each one that it is told.
FORKING = f"""
import json, os, runpy, sys
from embfact.config import compose
from embfact.system.terminal import as_command

def command(words, folder):
    os.chdir(folder)
    sys.argv = [{str(TRAIN)!r}, *words]
    runpy.run_path(sys.argv[0], run_name="__main__")

for line in sys.stdin:
    words, folder, out, err, modules = json.loads(line)
    if not (pid := os.fork()):
        for number, path in ((1, out), (2, err)):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
        code = 99
        try:
            command(words, folder)
        except SystemExit as left:
            code = left.code
        finally:
            for stream in (sys.stdout, sys.stderr): stream.flush()
            with open(modules, "w") as file: json.dump(sorted(sys.modules), file)
            os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Real]:
    """Runs ``train.py`` in a fresh process; exit code, output and errors, and the modules that it imported."""
    places = [tmp_path_factory.mktemp("real") / name for name in ("out", "err", "modules")]
    environment = {name: value for name, value in os.environ.items() if name != "EMBFACT_DATA_DIR"}
    command = [sys.executable, "-c", FORKING]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as forking:

        def call(words: list[str], folder: Path) -> tuple[int, str, str, set[str]]:
            assert forking.stdin
            assert forking.stdout
            for place in places:
                place.unlink(missing_ok=True)
            print(json.dumps([words, str(folder), *map(str, places)]), file=forking.stdin, flush=True)
            code = int(forking.stdout.readline())
            out, err, modules = (place.read_text(encoding="utf-8") for place in places)
            imported = set(json.loads(modules))
            assert "hydra" in imported
            return code, out, err, imported

        yield call


@pytest.mark.parametrize("sweep", [False, True], ids=["run", "sweep"])
@pytest.mark.parametrize("case", [BAD[name] for name in REAL], ids=REAL)
def test_the_real_command_refuses_before_it_imports_anything_heavy(
    case: Bad, sweep: bool, real: Real, folder: Path, files_below: Any
) -> None:
    before = files_below(folder)
    code, _, err, imported = real(words_of(case, folder, sweep=sweep), folder)
    assert code == 2
    check(err, case)
    assert imported & HEAVY == set()
    assert files_below(folder) == before


def test_labels_are_compared_before_a_training_is_thought_of(real: Real, folder: Path, files_below: Any) -> None:
    before, case = files_below(folder), BAD["labels of other classes"]
    code, _, err, imported = real(words_of(case, folder, sweep=True), folder)
    assert code == 2
    check(err, case)
    assert imported & HEAVY <= {"pandas"}  # which Arrow looks for
    assert files_below(folder) == before


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--help"], "factorization: albert"),
        (["--cfg", "job"], "lr: 0.0001"),
        (["--version"], f"embfact {embfact.__version__}\n"),
    ],
)
def test_help_and_configuration_are_answered_without_anything_heavy(
    words: list[str], told: str, real: Real, folder: Path, files_below: Any
) -> None:
    before = files_below(folder)
    code, out, err, imported = real(words, folder)
    assert (code, err) == (0, "")
    assert told in out
    assert imported & HEAVY == set()
    assert files_below(folder) == before


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="a folder in which nobody can create one")
@pytest.mark.parametrize("words", [[], ["plan=true"], ["-m"]])
def test_a_folder_that_cannot_be_created_is_refused(
    words: list[str], train: Any, tiny: list[str], tmp_path: Path
) -> None:
    answer = train(*tiny, "output_dir=/proc/runs", *words, cwd=tmp_path)
    assert (answer.code, answer.out) == (2, "")
    assert "output_dir is not writable (found /proc/runs)" in answer.err


def test_the_same_words_without_a_fault_are_accepted(train: Any, folder: Path) -> None:
    lists = [[], FILES.split(), [*MINILM.split()[:1], "rank=379"], ["seed=0,1", "-m"], ["tags=[pilot]", "-m"]]
    stored = [f"storage={storage}" for storage in ("float16", "int8", "int6", "int4", "int3", "int2")]
    groups = ["storage=int4", "storage_group=32,64,128,row", "-m"]
    for words in [*lists, *([word] for word in stored), [stored[-1], "quantization=aware"], groups]:
        answer = train(*GOOD, *words, "plan=true", cwd=folder)
        assert (answer.code, answer.err) == (0, "")
        assert "to do" in answer.out


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["budget=0.1"], ["svd-b0.1-s0"]),
        (["budget=0.1", "budget_unit=params", "storage=int4"], ["svd-p0.1-int4-g64-s0"]),
        (["energy=0.9"], ["svd-e0.9-s0"]),
        (["budget=0.05,0.1", "baseline=false", "-m"], ["svd-b0.05-s0", "svd-b0.1-s0"]),
        ([], ["svd-r64-s0"]),
    ],
)
def test_the_default_rank_gives_way_to_a_budget_or_an_energy(
    words: list[str], names: list[str], train: Any, folder: Path
) -> None:
    answer = train(*(word for word in GOOD if not word.startswith("rank")), *words, "plan=true", cwd=folder)
    assert (answer.code, answer.err) == (0, "")
    assert re.findall(r"^vader-bert-scratch-(\S+)-[0-9a-f]{8} +to do$", answer.out, re.M) == names


def test_all_faults_are_told_at_once_and_each_once(train: Any, folder: Path) -> None:
    words = ["seed=-1", "trainer.epochs=0", "task.dropout=2", "data=sst", "tags=[a,b]"]
    answer = train(*GOOD, *words, "rank=16,0", "factorization=svd,randm", "-m", cwd=folder)
    assert answer.code == 2
    errors = [line for line in answer.err.splitlines() if line.startswith("- ")]
    assert "6 configuration errors" in answer.err
    assert len(errors) == 6
    for option in ("seed", "trainer.epochs", "task.dropout", "data has", "rank", "factorization has"):
        assert sum(detail.startswith(f"- {option}") for detail in errors) == 1, option
    for remedy in ("sst2", "'random'"):
        assert remedy in answer.err


def test_faults_of_the_disk_are_told_with_each_other(train: Any, folder: Path) -> None:
    words = [*FILES.split(), "data.train_file=a.csv", "data.validation_file=b.csv", "paths.data_dir=c", "rank=500"]
    answer = train(*GOOD, *words, cwd=folder)
    assert answer.code == 2
    assert "4 configuration errors" in answer.err
    assert all(name in answer.err for name in ("a.csv", "b.csv", "paths.data_dir", "rank 500"))
