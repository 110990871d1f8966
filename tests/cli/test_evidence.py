"""Methods that look at gradients run through the command line, and share what they look at."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from embfact.runs.record import read

GRADIENT_METHODS = "factorization=fisher_svd,kronecker_svd"


@pytest.fixture(scope="module")
def command(train: Any, tiny: list[str], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """Commands on a tiny pretrained backbone, with a cache of their own."""
    import torch
    from transformers import AutoModel, AutoTokenizer, BertConfig

    from embfact.models.backbones import resolve

    folder = tmp_path_factory.mktemp("evidence")
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    with torch.random.fork_rng():
        AutoModel.from_config(BertConfig(vocab_size=30522, pad_token_id=0, **sizes)).save_pretrained(folder / "tiny")
    AutoTokenizer.from_pretrained(resolve("packaged:minilm")).save_pretrained(folder / "tiny")
    words = [*tiny, "model=minilm", "model.name_or_path=tiny", "paths.cache_dir=cache", "output_dir=runs"]

    def call(*more: str) -> Any:
        return train(*words, *more, cwd=folder)

    call.folder = folder  # type: ignore[attr-defined]
    return call


def test_a_sweep_over_methods_ranks_and_seeds_takes_gradients_once(command):
    for words in (("rank=4,8", "seed=0"), ("rank=4", "seed=1")):
        answer = command(GRADIENT_METHODS, *words, "baseline=false", "evidence.rows=64", "-m")
        assert answer.code == 0, answer
    runs = sorted(command.folder.glob("runs/*/"))
    assert len(runs) == 6
    assert {read(run).status for run in runs} == {"finished"}
    logs = [(run / "log.txt").read_text() for run in runs]
    assert sum("gradient moments of 64 rows taken" in log for log in logs) == 1
    assert sum("gradient moments read from" in log for log in logs) == 5
    assert len(list(command.folder.glob("cache/evidence/*"))) == 1
    assert all(read(run).seconds.evidence > 0 for run in runs)


def test_evidence_that_is_read_gives_the_bits_of_evidence_that_is_taken(command):
    words = ("factorization=kronecker_svd", "rank=4", "evidence.rows=64")

    def predictions(output: str) -> tuple[bytes, str]:
        assert command(*words, f"output_dir={output}").code == 0
        (run,) = command.folder.glob(f"{output}/*/")
        return (run / "predictions.parquet").read_bytes(), (run / "log.txt").read_text()

    first, log = predictions("read")
    assert "gradient moments read from" in log
    (path,) = command.folder.glob("cache/evidence/*")
    path.unlink()
    again, log = predictions("taken")
    assert "gradient moments of 64 rows taken" in log
    assert first == again


def test_another_corpus_is_counted_and_known_by_its_content(command):
    texts = {"a.txt": "a good film\n", "b.txt": "a good film\n", "c.txt": "a dull film\n"}
    for name, text in texts.items():
        (command.folder / name).write_text(text * 40)

    def digest(source: str) -> str:
        plan = command("factorization=weighted_svd", "rank=4", f"evidence.source={source}", "plan=true").out
        return re.search(r"weighted-svd-r4-s0-(\w{8}) ", plan)[1]

    assert digest("a.txt") == digest("b.txt")
    assert len({digest("a.txt"), digest("c.txt"), digest("training")}) == 3
    answer = command("factorization=weighted_svd", "rank=4", "evidence.source=a.txt", "output_dir=corpus")
    assert answer.code == 0, answer
    (run,) = command.folder.glob("corpus/*/")
    assert re.fullmatch(r"sha256:[0-9a-f]{16}\.txt", read(run).science["evidence"]["source"])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("factorization=fisher_svd", "evidence.source=a.txt"), "fisher_svd needs gradients.*evidence.source=training"),
        (("factorization=kronecker_svd", "evidence.source=a.txt"), "needs gradients, and therefore labelled rows"),
        (("factorization=weighted_svd", "evidence.source=absent.txt"), "not a readable file.*absent.txt"),
        (("factorization=svd", "evidence.source=absent.csv"), "not a readable file.*absent.csv"),
        (("factorization=weighted_svd", "evidence.source=folder.txt"), "not a readable file.*folder.txt"),
        (
            ("factorization=weighted_svd", "evidence.source=trainng"),
            r"must be training, train_all, or a file .* \.txt",
        ),
        (("factorization=fisher_svd", "evidence.rows=0"), "evidence.rows.*greater than or equal to 1"),
        (("factorization=fisher_svd", "evidence.warmup_steps=-1"), "evidence.warmup_steps.*greater than or equal to 0"),
    ],
)
def test_a_source_that_cannot_be_used_is_refused_before_anything_is_done(words, told, command):
    (command.folder / "a.txt").write_text("a good film\n")
    (command.folder / "folder.txt").mkdir(exist_ok=True)
    answer = command("rank=4", *words, "output_dir=refused")
    assert answer.code == 2
    assert re.search(told, answer.err), answer.err
    assert not (command.folder / "refused").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_source_that_may_not_be_read_is_refused(command):
    path = command.folder / "secret.txt"
    path.write_text("a good film\n")
    path.chmod(0)
    assert "not a readable file" in command("factorization=weighted_svd", "evidence.source=secret.txt").err


def test_a_corpus_that_turns_out_to_be_no_text_fails_the_run_in_words(command):
    (command.folder / "latin.txt").write_bytes("größer\n".encode("latin-1"))
    answer = command("factorization=weighted_svd", "rank=4", "evidence.source=latin.txt", "output_dir=latin")
    assert answer.code == 1
    assert re.search(r"latin\.txt, line 1 is not UTF-8 \(byte 0xf6\); save the file as UTF-8", answer.err)
    assert not Path(command.folder / "latin" / "checkpoint").exists()
