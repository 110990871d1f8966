"""Shell completion of the installed command."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from embfact.cli.completion import complete
from embfact.cli.main import COMMANDS, main


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["tr"], {"train", "trim"}),
        (["train", "trainer=de"], {"trainer=default"}),
        (["train", "factorization=hybrid"], {"factorization=hybrid_svd"}),
        (["factorize", "trainer.epo"], {"trainer.epochs="}),
        (["table", "outputs"], set()),
        (["--v"], {"--version"}),
        (["completion", ""], {"bash", "zsh"}),
        (["runs", "re"], {"retry"}),
        (["runs", ""], {"list", "show", "retry", "export", "prune", "caches"}),
        (["runs", "retry", "--p"], {"--plan"}),
        (["runs", "list", "outputs", "--sort", ""], {"name", "age", "duration"}),
        (["table", "outputs", "--format", "la"], {"latex"}),
        (["table", "outputs", "--format=la"], {"--format=latex"}),
        (["table", "outputs", "--output", "no"], set()),
        (["dashboard", "--wa"], {"--watch"}),
        (["fetch-sentences", "--"], {"--help"}),
        (["train", "--mu"], {"--multirun"}),
        (["train", "--cfg", ""], {"job", "hydra", "all"}),
        (["train", "--config-"], {"--config-dir"}),
        (["train", "-m", "optimizer.lr"], {"optimizer.lr="}),
    ],
)
def test_what_a_word_may_become(words: list[str], expected: set[str]) -> None:
    assert set(complete(words, COMMANDS)) == expected


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_its_flags(command: str) -> None:
    flags = complete([command, "--"], COMMANDS)
    assert "--help" in flags
    assert complete([command, "--hel"], COMMANDS) == ["--help"]


def test_a_folder_that_cannot_be_used_completes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMBFACT_CONF", "/no/such/folder")
    assert complete(["train", "fact"], COMMANDS) == []


def test_bash_completes_behind_an_equals_sign_and_leaves_its_word_breaks(tmp_path: Path) -> None:
    command = tmp_path / "embfact"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -c "from embfact.cli.main import entry; entry()" "$@"\n')
    command.chmod(0o755)
    script = """
        before=$COMP_WORDBREAKS
        eval "$(embfact completion bash)"
        [ "$before" = "$COMP_WORDBREAKS" ] && echo kept
        COMP_LINE='embfact train factorization=hyb' COMP_POINT=31
        _embfact
        echo "${COMPREPLY[@]}"
    """
    path = {"PATH": f"{tmp_path}:/usr/bin:/bin", "PYTHONPATH": ":".join(filter(None, sys.path))}
    done = subprocess.run(["bash", "-ic", script], env=path, capture_output=True, text=True)
    assert done.stdout.split() == ["kept", "hybrid_svd"], done.stderr


@pytest.mark.skipif(not shutil.which("zsh"), reason="zsh is not installed")
def test_the_script_of_zsh_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "zsh"]) == 0
    done = subprocess.run(["zsh", "-nc", capsys.readouterr().out], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
