"""Words that once ended in a traceback: each is refused in words, or does what it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.places import ROOT

TRAIN = ROOT / "train.py"
GOOD = ["model=bert_scratch", "logger=none", "rank=16", "plan=true"]
# What is typed, and what the answer must hold: the option, the value, the remedy.
REFUSED = {
    "value that OmegaConf warns of": ("++_target_=${oc.deprecated:rank}", "_target_ is not an option"),
    "sweep over no choice": ("factorization=glob(x*) -m", "factorization is swept over nothing"),
    "sweep over no number": ("rank=range(5,5) -m", "rank is swept over nothing", "rank=range(5,5)"),
    "sweep over no choice of an option": ("storage=glob(int*) -m", "storage is swept over nothing"),
    "range and value": ("seed=range(0,3),7 -m", "seed=range(0,3),7", "key=0,1,2,7"),
    "range in a choice": ("seed=choice(range(0,3),7) -m", "cannot be read", "choice(range(0,3),7)"),
    "choice in a list": ("tags=[choice(a,b)]", "tags=[choice(a,b)]", "list every value"),
    "range without end": ("rank=range(0,1e15) -m", "at most 10,000 runs", "rank=range(0,1e15)"),
    "range of tiny steps": ("optimizer.lr=range(0.1,0.2,1e-12) -m", "at most 10,000 runs"),
    "shuffled range without end": ("rank=shuffle(range(1,1000000000000)) -m", "at most 10,000 runs"),
    "range that stands still": ("optimizer.lr=range(0.1,0.2,0.0) -m", "cannot be read", "range(0.1,0.2,0.0)"),
    "product without end": ("seed=range(0,200) rank=range(1,200) -m", "at most 10,000 runs", "39,800", "split it"),
    "no parameters of the sweep": ("hydra.sweeper.params=7 -m", "hydra.sweeper.params cannot be set", "params=7"),
    "unknown parameter of the sweep": ('hydra.sweeper.params={rnak:"4,8"} -m', "rnak", "'rank'"),
    "no launcher": ("hydra.launcher=null", "hydra.launcher is not a launcher", "hydra/launcher=NAME"),
    "no launcher of a sweep": ("hydra.launcher=null -m", "hydra.launcher is not a launcher", "hydra/launcher=NAME"),
    "launcher that is a number": ("hydra.launcher=5 -m", "hydra.launcher is not a launcher"),
    "launcher left out": ("~hydra/launcher -m", "hydra/launcher cannot be left out"),
    "unknown launcher of ours": ("hydra.launcher._target_=embfact.launchers.no.Such -m", "embfact.launchers.no.Such"),
    "launcher that is none": ("hydra.launcher._target_=embfact.launchers.base.OwnLauncher -m", "base.OwnLauncher"),
    "unknown launcher of Hydra's": ("hydra.launcher._target_=hydra_plugins.no.Such -m", "hydra_plugins.no.Such"),
    "unknown option of Hydra's launcher": ("+hydra.launcher.jobs=2 -m", "hydra.launcher cannot be used", "jobs"),
    "no sweeper": ("hydra.sweeper=null -m", "hydra.sweeper has no effect here"),
    "folder of Hydra's": ("hydra.run.dir=elsewhere", "hydra.run.dir has no effect here", "output_dir"),
    "other configurations": ("hydra.searchpath=[elsewhere]", "hydra.searchpath has no effect here"),
    "group left out": ("~factorization", "factorization is missing", "factorization=NAME"),
    "another group left out": ("~data -m", "data is missing", "data=NAME"),
    "option left out": ("~seed", "seed is missing"),
    "deletion of a number": ("~debug=1", "debug", "~debug=1"),
    "deletion of what is not there": ("~nonsense", "nonsense", "does not exist"),
    "section that is a number": ("++factorization.route=svd ++trainer=5", "trainer", "5"),
    "number of 5,000 digits": (f"seed={'9' * 5000}", "cannot be read"),
    "reference to itself": ("data.name=${data}", "cannot be resolved"),
    "function that is none": ("rank=int(ten)", "int(ten)", "cannot be read"),
    "interval": ("rank=interval(1,5) -m", "rank=interval(1,5)", "list them"),
    "text in no encoding": ("tags=['\udcff']", "cannot be read", "\\udcff"),
    "override with dashes": ("--rank=3", "--rank=3", "without dashes"),
    "run and sweep": ("--run -m", "--run", "--multirun"),
    "configuration of a sweep": ("--cfg job -m", "--cfg", "--multirun"),
    "no such part": ("--cfg job --package no.such", "no.such"),
    "part of what": ("--package data", "--package", "--cfg job"),
    "resolved what": ("--resolve", "--resolve", "--cfg job"),
    "help on no word": ("--help rank", "'rank'", "key=value"),
    "help on an unknown choice": ("--help data=books", "data", "vader"),
    "help on a sweep": ("--help rank=1,2", "rank=1,2"),
    "information on an unknown option": ("--info config nonsense=1", "nonsense"),
    "information on a sweep": ("--info -m", "--info", "--multirun"),
    "completion of no shell": ("--shell-completion install=tcsh", "tcsh"),
}


def typed(words: str) -> list[str]:
    return words.split(" ")


@pytest.mark.parametrize(("words", "told"), [(words, told) for words, *told in REFUSED.values()], ids=REFUSED)
def test_it_is_refused_in_words(words: str, told: list[str], train: Any, tmp_path: Path, files_below: Any) -> None:
    answer = train(*GOOD, *typed(words), cwd=tmp_path)
    assert answer.code == 2, answer
    assert answer.out == ""
    assert answer.err.startswith("embfact: nothing was started; ")
    assert [word for word in told if word not in answer.err] == [], answer.err
    assert files_below(tmp_path) == {}


@pytest.mark.parametrize(
    ("words", "ranks"),
    [
        ('hydra.sweeper.params={rank:"4,8"} -m', [4, 8]),
        ('hydra.sweeper.params={rank:"4,8"} hydra.mode=MULTIRUN', [4, 8]),
        ("+hydra.sweeper.params.rank='4,8' -m", [4, 8]),
        ('experiment=methods_sst2 data=vader factorization=svd hydra.sweeper.params.rank="4,8" seed=0', [4, 8]),
        ("rank=sort(8,4) -m", [4, 8]),
        ("rank=int(8.0)", [8]),
        ("rank=range(4,9,4) hydra.launcher.runs=1 hydra/launcher=parallel -m", [4, 8]),
        ("rank=tag(small,choice(4,8)) -m", [4, 8]),
        ("trainer={epochs:2} rank=4", [4]),
        ("-m -- rank=4,8", [4, 8]),
    ],
)
def test_it_is_a_sweep_over_what_it_says(words: str, ranks: list[int], train: Any, tmp_path: Path) -> None:
    good = [word for word in GOOD if not word.startswith("rank")]
    answer = train(*good, "baseline=false", *typed(words), cwd=tmp_path)
    assert (answer.code, answer.err) == (0, "")
    assert [int(rank) for rank in re.findall(r"-svd-r(\d+)-s0-[0-9a-f]{8} +to do$", answer.out, re.M)] == ranks


def test_a_dictionary_is_merged_into_the_section(train: Any, tmp_path: Path) -> None:
    answer = train("trainer={epochs:7,batch_size:3}", "--cfg", "job", "--package", "trainer", cwd=tmp_path)
    assert answer.code == 0
    assert {"epochs: 7", "batch_size: 3", "eval_batch_size: 64"} <= set(answer.out.splitlines())


@pytest.mark.parametrize(
    ("optimize", "words", "code", "told"),
    [
        ("1", ["rank=16"], 0, "1 to do"),
        ("1", ["seed=range(0,2)", "-m"], 2, "PYTHONOPTIMIZE"),
        ("1", ["~debug=1"], 2, "~debug=1"),
        ("2", ["rank=16"], 2, "PYTHONOPTIMIZE"),
    ],
)
def test_python_without_assertions(optimize: str, words: list[str], code: int, told: str, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONOPTIMIZE": optimize}
    command = [sys.executable, str(TRAIN), *GOOD, *words]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert told in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
