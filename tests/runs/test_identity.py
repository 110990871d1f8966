"""What makes two runs the same run, and what does not."""

import hashlib
import json
import re
import unicodedata
from pathlib import Path

import pytest

from embfact.config.compose import hydra_session
from embfact.runs import identity
from embfact.runs.identity import identify, library_versions, science
from tests.helpers.places import CONF


def identity_of(*words):
    with hydra_session(CONF) as composer:
        return identify(composer.configs([["logger=none", "data=vader", *words]])[0][0])


def test_what_was_added_since_and_is_not_used_leaves_a_run_what_it_was():
    # As records of before there was a choice of pooling have it.
    assert identity_of().science["task"] == {"name": "sequence_classification", "dropout": None, "label_smoothing": 0.0}
    assert identity_of().science["model"] == {}
    assert identity_of("task.pooling=null", "model.static=false").hash == identity_of().hash
    assert "storage_group" not in identity_of().science


def test_hash_is_the_digest_of_what_decides_the_result():
    run = identity_of("rank=64")
    assert run.hash == hashlib.sha256(json.dumps(run.science, sort_keys=True).encode()).hexdigest()
    assert run.name == f"vader-minilm-svd-r64-s0-{run.hash[:8]}"
    assert run.directory == Path("outputs/default") / run.name


@pytest.mark.parametrize(
    "words",
    [
        ["rank=63"],
        ["seed=1"],
        ["factorization=random"],
        ["factorization.route=qr"],
        ["optimizer.lr=2e-4"],
        ["trainer.batch_size=16"],
        ["trainer.precision=bf16-mixed"],
        ["data.train_size=100"],
        ["data.split_seed=1"],
        ["task.dropout=0"],
        ["task.pooling=mean"],
        ["model.static=true"],
        ["checkpoint=last"],
        ["model=bert_scratch"],
        ["data.max_length=16"],
    ],
)
def test_scientific_options_make_another_run(words):
    assert identity_of(*words).hash != identity_of().hash


@pytest.mark.parametrize(
    "words",
    [
        ["logger=offline"],
        ["output_dir=elsewhere"],
        ["tags=[a]"],
        ["experiment_name=other"],
        ["trainer.threads=1"],
        ["trainer.accelerator=cpu"],
        ["trainer.eval_batch_size=7"],
        ["paths.cache_dir=/tmp/other"],
        ["data.name=renamed"],
        ["force=true"],
        ["profile=true"],
    ],
)
def test_places_names_and_machinery_do_not(words):
    assert identity_of(*words).hash == identity_of().hash


@pytest.mark.parametrize(
    ("one", "other"),
    [("\u5f71\u8bc4", "\u7535\u5f71"), ("\u5f71\u8bc4 A", "\u7535\u5f71 A"), ("???", "!!!"), ("c\u00e9", "c\u00e8")],
)
@pytest.mark.parametrize("option", ["data.name", "model.name"])
def test_names_of_other_scripts_give_directories_of_their_own(option, one, other):
    names = [identity_of(f"{option}='{name}'").directory.name for name in (one, other)]
    assert names[0] != names[1]
    for name in names:
        assert re.fullmatch(r"[a-z0-9][a-z0-9.-]+", name)
        assert "--" not in name


def test_a_name_is_the_same_however_its_accents_are_composed():
    composed, apart = (unicodedata.normalize(form, "caf\u00e9") for form in ("NFC", "NFD"))
    assert identity_of(f"data.name={composed}").name == identity_of(f"data.name={apart}").name


def test_a_rank_that_is_not_used_decides_nothing():
    assert identity_of("factorization=none", "rank=64").hash == identity_of("factorization=none", "rank=8").hash


@pytest.mark.parametrize(
    ("storage", "groups"), [("float32", 1), ("float16", 1), *((f"int{bits}", 4) for bits in (8, 6, 4, 3, 2))], ids=str
)
def test_groups_decide_for_what_is_quantized(storage, groups):
    runs = [identity_of(f"storage={storage}", f"storage_group={group}") for group in ("row", 128, 64, 32)]
    assert len({run.hash for run in runs}) == len({run.directory for run in runs}) == groups
    names = [run.name.removeprefix("vader-minilm-svd-r64-").rpartition("-s0-")[0] for run in runs]
    expected = {"float32": [""] * 4, "float16": ["float16"] * 4}
    assert names == expected.get(storage, [f"{storage}-{group}" for group in ("row", "g128", "g64", "g32")])


@pytest.mark.parametrize(
    ("method", "decisive"),
    [("svd", set()), ("weighted_svd", {"source"}), ("kronecker_svd", {"rows", "warmup_steps"})],
)
def test_options_of_the_evidence_decide_for_the_methods_that_look_at_it(method, decisive, tmp_path):
    (tmp_path / "texts.txt").write_text("some text\n")
    options = {"rows": 7, "warmup_steps": 7, "source": f"{tmp_path}/texts.txt"}
    if method == "kronecker_svd":  # its gradients need labels
        del options["source"]
    plain = identity_of(f"factorization={method}").hash
    changed = {
        name
        for name, value in options.items()
        if identity_of(f"factorization={method}", f"evidence.{name}={value}").hash != plain
    }
    assert changed == decisive


def test_none_and_last_keep_or_drop_the_same_weights():
    assert identity_of("checkpoint=none").hash == identity_of("checkpoint=last").hash


def test_a_file_is_known_by_its_content_not_its_place(tmp_path):
    for folder, text in (("a", "good"), ("b", "good"), ("c", "fine")):
        (tmp_path / folder).mkdir()
        rows = "".join(f"{text} {row},{row % 2}\n" for row in range(20))
        (tmp_path / folder / "rows.csv").write_text("text,label\n" + rows)
        (tmp_path / folder / "other.csv").write_text("text,label\n" + rows.replace(text, "other"))

    def of(folder):
        files = [f"data.train_file={tmp_path / folder}/rows.csv", f"data.validation_file={tmp_path / folder}/other.csv"]
        return identity_of("data=files", *files).hash

    assert of("a") == of("b") != of("c")


def test_another_major_version_is_another_run_and_a_minor_one_is_not(monkeypatch):
    own = library_versions()
    hashes = set()
    for change in ({}, {"torch": "2.999.0"}, {"torch": "99.0"}):
        monkeypatch.setattr(identity, "library_versions", lambda change=change: {**own, **change})
        hashes.add((bool(change) and change["torch"].startswith("99"), identity_of().hash))
    assert len(hashes) == 2


def test_science_is_plain_json():
    with hydra_session(CONF) as composer:
        config = composer.configs([["rank=64"]])[0][0]
    values = science(config, "d", "m")
    assert json.loads(json.dumps(values)) == values
