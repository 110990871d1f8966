"""scripts/factorize.py: figures against numpy and the saved file, and refusals before anything is loaded or written."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from safetensors.numpy import load_file, save_file
from transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer, BertConfig, BertModel, GPT2Config
from transformers import GPT2LMHeadModel as CausalLM

from embfact.compression.factorize_request import read_factorize_request
from embfact.data.text import load_text
from embfact.factorization.base import TokenizerMethod
from embfact.factorization.registry import methods
from tests.helpers.places import ROOT

METHODS = [name for name, method in methods().items() if not issubclass(method, TokenizerMethod)]
V, H, RANK = 3000, 16, 4
TABLE = "embeddings.word_embeddings."
GOOD = "a fine film\na warm story\n"


@pytest.fixture(scope="session")
def tokenizer(small_tokenizer: Path) -> Any:
    """One of 3,000 word pieces."""
    return AutoTokenizer.from_pretrained(small_tokenizer)


@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory, tokenizer: Any) -> Path:
    """A tiny encoder."""
    folder = tmp_path_factory.mktemp("models") / "bert"
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=V, hidden_size=H, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, pad_token_id=0
    )
    model = BertModel(config)
    # Axes of unequal length, as those of trained tables are.
    model.embeddings.word_embeddings.weight.data *= torch.linspace(3, 0.5, H)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def gpt2(tmp_path_factory: pytest.TempPathFactory, tokenizer: Any) -> Path:
    """A tiny causal language model, its output layer tied to its table."""
    folder = tmp_path_factory.mktemp("models") / "gpt2"
    torch.manual_seed(1)
    CausalLM(GPT2Config(vocab_size=V, n_positions=64, n_embd=H, n_layer=1, n_head=2)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def factorize(run: Any, bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The command on the tiny encoder and a few rows of the embedded data, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    words = [f"model.name_or_path={bert}", "data.train_size=300", "evidence.rows=8", "evidence.warmup_steps=1"]

    def call(*more: str) -> Any:
        data = [] if any(word.startswith("data=") for word in more) else ["data=vader"]
        return run("factorize.py", *words, *data, *more)

    return call


def weights_of(folder: Path) -> dict[str, np.ndarray]:
    return load_file(folder / "model.safetensors")


def counts_of(conf: Path, tokenizer: Any, part: str = "selection") -> np.ndarray:
    """How often each token occurs in the held-out rows of these options, or another part, counted one by one."""
    (job,) = read_factorize_request(conf, ["data=vader", "data.train_size=300"], False).jobs
    texts = getattr(load_text(job.config.data, None), part).column("text").to_pylist()
    assert len(texts) == {"selection": 500, "train": 300, "train_all": 5496}[part]
    counted = Counter(token for text in texts for token in tokenizer(text)["input_ids"])
    return np.array([counted[token] for token in range(V)], dtype=np.float64)


def errors(table: np.ndarray, left: np.ndarray, counts: np.ndarray) -> list[float]:
    table = table.astype(np.float64)
    lost, whole = ((table - left) ** 2).sum(1), (table**2).sum(1)
    return [lost.sum() / whole.sum(), counts @ lost / (counts @ whole)]


def rows_of(out: str) -> list[dict[str, str]]:
    lines = [line for line in out.splitlines() if line.startswith("|")]
    header, _, *cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [dict(zip(header, line, strict=True)) for line in cells]


def numbers(out: str) -> list[dict[str, Any]]:
    return json.loads(out)["rows"]


def test_one_method_is_measured_and_saved(
    factorize: Any, bert: Path, conf: Path, tokenizer: Any, tmp_path: Path
) -> None:
    done = factorize("factorization=svd", f"rank={RANK}", "output=small", "--format", "json")
    assert done.code == 0, done.err
    assert done.err.endswith("wrote small\n")
    dense, svd = numbers(done.out)
    table, saved = weights_of(bert)[f"{TABLE}weight"], weights_of(tmp_path / "small")

    assert (dense["method"], dense["parameters"], dense["bytes"]) == ("none", V * H, 4 * V * H)
    assert (dense["error"], dense["weighted_error"]) == (0, 0)
    assert (svd["method"], svd["size_name"], svd["rank"]) == ("svd", "rank", RANK)
    assert svd["parameters"] == RANK * (V + H)
    assert svd["bytes"] == sum(tensor.nbytes for name, tensor in saved.items() if name.startswith(TABLE))
    assert svd["parameters_share"] == svd["parameters"] / (V * H)
    assert (svd["vs_float32"], svd["vs_float16"]) == (4 * V * H / svd["bytes"], 2 * V * H / svd["bytes"])
    codec = pa.Codec("zstd", compression_level=3)
    own = [tensor for name, tensor in saved.items() if name.startswith(TABLE)]
    assert svd["zstd_bytes"] == sum(len(codec.compress(tensor.tobytes())) for tensor in own if tensor.size)
    assert svd["memory_bytes"] == svd["bytes"]
    assert svd["lookup_microseconds"] > 0
    u, s, v = np.linalg.svd(table.astype(np.float64), full_matrices=False)
    best = (u[:, :RANK] * s[:RANK]) @ v[:RANK]
    assert [svd["error"], svd["weighted_error"]] == pytest.approx(
        errors(table, best, counts_of(conf, tokenizer)), rel=1e-6
    )
    assert svd["seconds"] > 0

    # The same architecture, every other weight untouched, and a file that others can load.
    config = json.loads((tmp_path / "small/config.json").read_text())
    assert config["architectures"] == ["BertModel"]
    for name, tensor in weights_of(bert).items():
        if not name.startswith(TABLE):
            np.testing.assert_array_equal(saved[name], tensor)
    loaded = AutoModel.from_pretrained(tmp_path / "small", trust_remote_code=True)
    ids = torch.arange(V)
    with torch.no_grad():
        given = loaded.get_input_embeddings()(ids).numpy()
    np.testing.assert_allclose(given, best, atol=1e-5)
    words = AutoTokenizer.from_pretrained(tmp_path / "small")("a fine film", return_tensors="pt")
    assert loaded(**words).last_hidden_state.shape[-1] == H


def test_the_library_loads_it_too(factorize: Any, tmp_path: Path) -> None:
    import embfact

    assert factorize("factorization=weighted_svd", "budget=0.3", "storage=int8", "output=small").code == 0
    model = embfact.from_pretrained(tmp_path / "small")
    assert type(model) is BertModel
    assert model.config.embfact["method"] == "weighted_svd"


def test_errors_are_those_of_the_tables_as_stored(
    factorize: Any, bert: Path, conf: Path, tokenizer: Any, tmp_path: Path
) -> None:
    done = factorize("factorization=none", "storage=int8", "output=small", "--format", "json")
    assert done.code == 0, done.err
    _, kept = numbers(done.out)
    saved = {name.removeprefix(TABLE): tensor for name, tensor in weights_of(tmp_path / "small").items()}
    assert saved["scales"].shape == (V, 1)  # one group of at most 64 numbers a row
    zeros = saved["zero_points"].astype(np.float64)
    left = (saved["codes"].astype(np.float64) - zeros) * saved["scales"].astype(np.float64)
    table = weights_of(bert)[f"{TABLE}weight"]
    expected = errors(table, left, counts_of(conf, tokenizer))
    assert [kept["error"], kept["weighted_error"]] == pytest.approx(expected, rel=1e-4)
    assert 0 < kept["error"] < 1e-3
    assert (kept["parameters"], kept["bytes"]) == (V * H, V * H + 3 * V)


def test_a_causal_language_model_stays_one_and_stays_tied(run: Any, gpt2: Path, tmp_path: Path) -> None:
    words = [
        f"model.name_or_path={gpt2}",
        "data=vader",
        "data.train_size=100",
        "data.max_length=32",
        f"output={tmp_path}/small",
    ]
    done = run("factorize.py", *words, "factorization=svd", f"rank={RANK}", "--format", "json")
    assert done.code == 0, done.err
    saved = weights_of(tmp_path / "small")
    assert sum(tensor.nbytes for tensor in saved.values()) < sum(t.nbytes for t in weights_of(gpt2).values()) / 2
    assert json.loads((tmp_path / "small/config.json").read_text())["architectures"] == ["GPT2LMHeadModel"]
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "small", trust_remote_code=True).eval()
    ids = torch.tensor([[1, 2, 3]])
    with torch.no_grad():
        hidden = model.transformer(ids).last_hidden_state
        table = model.get_input_embeddings()(torch.arange(V))
        torch.testing.assert_close(model(ids).logits, hidden @ table.T, rtol=1e-4, atol=1e-5)
    assert numbers(done.out)[1]["bytes"] == 4 * RANK * (V + H)


def test_several_methods_give_one_table_in_each_format(factorize: Any, tmp_path: Path) -> None:
    words = ["factorization=svd,weighted_svd", f"rank={RANK}", "storage=float32,int8", "-m"]
    done = factorize(*words, "table=table.md")
    assert (done.code, done.err.count("\n")) == (0, 5)
    assert (tmp_path / "table.md").read_text() == done.out
    rows = rows_of(done.out)
    assert [row["method"] for row in rows] == ["none", "svd", "svd int8-g64", "weighted_svd", "weighted_svd int8-g64"]
    assert [row["size"] for row in rows[1:]] == [f"rank {RANK}"] * 4
    assert len({line.count("|") for line in done.out.splitlines() if line.startswith("|")}) == 1

    found = numbers(factorize(*words, "--format", "json").out)
    lines = list(csv.DictReader(io.StringIO(factorize(*words, "--format", "csv").out)))
    assert len(found) == len(lines) == 5
    for row, line, cells in zip(found, lines, rows, strict=True):
        assert {name: line[name] for name in ("method", "storage")} == {
            name: row[name] for name in ("method", "storage")
        }
        for name in ("parameters", "bytes", "error", "weighted_error"):
            assert float(line[name]) == row[name]
        assert cells["error"] in (f"{row['error']:.3f}", f"{row['error']:.1e}")
        assert f"({100 * row['bytes_share']:.1f}%)" in cells["bytes"]
    # The weighted method is better where it was asked to be, and worse where it was not.
    svd, _, weighted, _ = found[1:]
    assert weighted["weighted_error"] < svd["weighted_error"]
    assert weighted["error"] > svd["error"]


def test_options_that_differ_are_named(factorize: Any) -> None:
    done = factorize("factorization=weighted_svd", "factorization.smoothing=0,1", f"rank={RANK}", "-m")
    assert [row["setting"] for row in rows_of(done.out)] == ["", "smoothing=0.0", "smoothing=1.0"]


def test_texts_of_a_file_are_counted_where_they_are_given(factorize: Any, tokenizer: Any, tmp_path: Path) -> None:
    (tmp_path / "corpus.txt").write_text(GOOD)
    done = factorize("factorization=weighted_svd", f"rank={RANK}", "evidence.source=corpus.txt", "--format", "json")
    counted = sum(len(tokenizer(line)["input_ids"]) for line in GOOD.splitlines())
    document = json.loads(done.out)
    assert (document["corpus"], document["counted"]) == ("corpus.txt", counted)
    # Four directions are enough for hardly more tokens than that.
    assert document["rows"][1]["weighted_error"] < document["rows"][1]["error"] / 2


def test_a_method_that_does_not_fit_is_a_row_and_the_others_go_on(factorize: Any, tmp_path: Path) -> None:
    done = factorize("factorization=svd,group_svd", "budget=0.07", "-m", "table=table.csv", "--format", "csv")
    assert done.code == 1
    none, svd, group = csv.DictReader((tmp_path / "table.csv").open())
    assert (none["problem"], svd["problem"]) == ("", "")
    assert float(svd["bytes_share"]) <= 0.07
    assert group["problem"].startswith("does not fit: budget 0.07")
    assert (group["parameters"], group["error"], group["seconds"]) == ("", "", "")
    assert "group_svd does not fit: " in done.err
    assert rows_of(factorize("factorization=svd,group_svd", "budget=0.07", "-m").out)[2]["size"] == "does not fit"


def test_all_methods_at_one_budget(factorize: Any) -> None:
    done = factorize("factorization=all", "budget=0.15", "--format", "json")
    dense, *rows = numbers(done.out)
    assert dense["method"] == "none"
    assert [row["method"] for row in rows] == [name for name in METHODS if name != "none"]
    assert "left out, since the tokenizer changes (use scripts/trim.py): vocabulary_trimming" in done.err
    assert done.code == int(any(row["problem"] for row in rows))
    for row in rows:
        if row["problem"]:
            assert row["problem"].startswith("does not fit: "), row
        else:
            assert row["bytes"] <= 0.15 * dense["bytes"], row
            assert row["rank"] >= 1
            assert (row["error"] is None) == (row["method"] == "albert")
    assert sum(row["problem"] is None for row in rows) > len(rows) / 2


def test_an_energy_leaves_out_the_methods_that_know_none(factorize: Any, bert: Path) -> None:
    done = factorize("factorization=all", "energy=0.9", "--format", "json")
    found = {row["method"]: row for row in numbers(done.out)}
    assert {"none", "svd", "evd", "weighted_svd"} <= set(found)
    assert "albert" not in found
    assert "random" in done.err.partition("left out, since energy= cannot set their size: ")[2]
    energies = np.linalg.svd(weights_of(bert)[f"{TABLE}weight"].astype(np.float64), compute_uv=False) ** 2
    assert found["svd"]["rank"] == np.argmax(np.cumsum(energies) >= 0.9 * energies.sum()) + 1
    assert found["svd"]["error"] <= 0.1 < (energies[found["svd"]["rank"] - 1 :].sum() / energies.sum())


def test_groups_are_rows_of_their_own_where_they_are_of_effect(factorize: Any) -> None:
    words = ["factorization=svd", f"rank={RANK}", "storage=float32,int4", "storage_group=row,32", "-m"]
    done = factorize(*words, "--format", "json")
    assert done.code == 0, done.err
    rows = numbers(done.out)
    assert [row["storage"] for row in rows] == ["float32", "float32", "int4-row", "int4-g32"]
    assert rows_of(factorize(*words).out)[2]["method"] == "svd int4-row"
    # The rows of this table are shorter than a group.
    assert rows[2]["bytes"] == rows[3]["bytes"] == V * (RANK // 2 + 3) + RANK * (H // 2 + 3)


def test_texts_without_labels_leave_out_the_methods_that_take_gradients(conf: Path, bert: Path, tmp_path: Path) -> None:
    (tmp_path / "corpus.txt").write_text(GOOD)
    words = [
        f"model.name_or_path={bert}",
        "data=vader",
        f"evidence.source={tmp_path}/corpus.txt",
        "factorization=all",
        "budget=0.5",
    ]
    request = read_factorize_request(conf, words, False)
    line, _ = request.skipped
    assert line.startswith("left out, since they need gradients")
    assert "fisher_svd" in line
    names = {job.config.factorization.name for job in request.jobs}
    assert {"weighted_svd", "hybrid_svd"} <= names
    assert "fisher_svd" not in names


@pytest.mark.parametrize("source", ["README.md", "src/embfact/cli/factorize.py"])
def test_each_documented_command_is_valid(source: str, conf: Path) -> None:
    text = (ROOT / source).read_text(encoding="utf-8")
    commands = re.findall(r"^ *python scripts/factorize\.py ([^#\n]+)", text, re.M)
    assert len(commands) > 1
    for command in commands:
        words = command.split()
        jobs = read_factorize_request(conf, [word for word in words if word != "-m"], "-m" in words).jobs
        assert not [job.problem for job in jobs if job.problem]


def test_a_checkpoint_of_ours_is_replaced(factorize: Any, tmp_path: Path) -> None:
    for rank in (2, 3):
        assert factorize("factorization=svd", f"rank={rank}", "output=small").code == 0
    assert weights_of(tmp_path / "small")[f"{TABLE}factors.weight"].shape == (V, 3)
    assert [path.name for path in tmp_path.glob("*small*")] == ["small"]


def test_a_sharded_model_is_factorized_like_a_whole_one(factorize: Any, bert: Path, tmp_path: Path) -> None:
    whole = factorize("factorization=svd", "rank=4", "output=small", "--format", "json")
    shutil.copytree(bert, tmp_path / "sharded")
    (tmp_path / "sharded" / "model.safetensors").unlink()
    AutoModel.from_pretrained(bert).save_pretrained(tmp_path / "sharded", max_shard_size="100KB")
    assert len(list((tmp_path / "sharded").glob("model-*.safetensors"))) > 1
    words = [f"model.name_or_path={tmp_path}/sharded", "factorization=svd", "rank=4", "output=other"]
    done = factorize(*words, "--format", "json")
    assert done.code == 0, done.err
    for one, other in zip(numbers(whole.out), numbers(done.out), strict=True):
        timed = {"seconds": 0, "lookup_microseconds": 0}
        assert {**one, **timed} == {**other, **timed}
    left, right = weights_of(tmp_path / "small"), weights_of(tmp_path / "other")
    assert left.keys() == right.keys()
    assert all(np.array_equal(left[name], right[name]) for name in left)


BAD = {
    "rank 0": (["rank=0"], "rank: should be greater than or equal to 1"),
    "negative rank": (["rank=-3"], "rank: should be greater than or equal to 1"),
    "too large": (["rank=17"], "rank 17 does not shrink a 3000 x 16 table"),
    "too large in every row": (["factorization=svd,random", "rank=17", "-m"], "the largest rank that does is 15"),
    "nothing fits": (["budget=0.0001"], "has no room for svd"),
    "rank and budget": (["rank=4", "budget=0.1"], "exactly one of rank, budget and energy"),
    "energy without singular values": (["factorization=random", "energy=0.9"], "cannot be sized by energy"),
    "unknown storage": (["storage=int5"], "int4"),
    "unknown group": (["storage=int4", "storage_group=16"], "128, 32, 64, row"),
    "unknown method": (["factorization=sdv"], "'svd'"),
    "misspelt option": (["factorization=svd", "rnak=4"], "'rank'"),
    "list without -m": (["rank=2,4"], "add -m"),
    "option of the training": (["optimizer.lr=1e-3"], "optimizer.lr is a training option"),
    "experiment": (["experiment=methods_sst2"], "experiment is a training option"),
    "several models": (["model=minilm,bert_base", "-m"], "all rows of the table share model"),
    "several data sets": (["data=vader,sst2", "-m"], "all rows of the table share data"),
    "random weights": (["model=bert_scratch", "model.name_or_path=null"], "has random weights"),
    "no such model": (["model.name_or_path=./nowhere"], "./nowhere"),
    "no such data folder": (["paths.data_dir=nowhere"], "EMBFACT_DATA_DIR"),
    "no such corpus": (["evidence.source=nowhere.txt"], "evidence.source"),
    "no override": (["svd"], "write key=value"),
    "table in no folder": (["table=nowhere/table.md"], "a writable folder"),
    "output without a name": (["output="], "output must be a directory"),
    "output is a file": (["output=notes.txt"], "output must be a directory"),
    "output exists": (["output=folder"], "not an embfact checkpoint"),
    "output of several": (["factorization=svd,random", "-m", "output=small"], "output needs one method"),
    "truncated model": (["model.name_or_path={tmp}/truncated"], "it is truncated"),
    "corrupt model": (["model.name_or_path={tmp}/corrupt"], "is not a safetensors file"),
    "corrupt config": (["model.name_or_path={tmp}/unreadable"], "config.json cannot be read"),
    "no weights": (["model.name_or_path={tmp}/empty"], "has no model.safetensors"),
    "a shard is missing": (["model.name_or_path={tmp}/sharded"], "lacks 1 of the 1 files"),
    "a shard was cut": (["model.name_or_path={tmp}/cut"], "it is truncated"),
    "quantized model": (["model.name_or_path={tmp}/quantized"], "is quantized"),
    "compressed model": (["model.name_or_path={tmp}/compressed"], "is already compressed"),
}


@pytest.fixture
def folder(bert: Path, tmp_path: Path) -> Path:
    """Files and model directories with one error each."""
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "notes.txt").write_text("mine")
    for name in ("truncated", "corrupt", "unreadable", "empty", "quantized", "compressed", "sharded", "cut"):
        shutil.copytree(bert, tmp_path / name)
    for name in ("sharded", "cut"):
        (tmp_path / name / "model.safetensors").rename(tmp_path / name / "model-1.safetensors")
        names = {"weight_map": {"a": "model-1.safetensors"}}
        (tmp_path / name / "model.safetensors.index.json").write_text(json.dumps(names))
    (tmp_path / "sharded/model-1.safetensors").unlink()
    weights = (bert / "model.safetensors").read_bytes()
    (tmp_path / "truncated/model.safetensors").write_bytes(weights[: len(weights) // 2])
    (tmp_path / "cut/model-1.safetensors").write_bytes(weights[:-1])
    (tmp_path / "corrupt/model.safetensors").write_bytes(b"<html>not found</html>")
    (tmp_path / "unreadable/config.json").write_text('{"model_type": "bert",')
    (tmp_path / "empty/model.safetensors").unlink()
    config = json.loads((bert / "config.json").read_text())
    changes = {"quantized": {"quantization_config": {"bits": 8}}, "compressed": {"embfact": {"method": "svd"}}}
    for name, change in changes.items():
        (tmp_path / name / "config.json").write_text(json.dumps(config | change))
    return tmp_path


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused_in_words(name: str, factorize: Any, folder: Path, refused: Any) -> None:
    words, told = BAD[name]
    before = sorted(folder.rglob("*"))
    refused(factorize(*(word.replace("{tmp}", str(folder)) for word in words)), told)
    assert sorted(folder.rglob("*")) == before
    assert (folder / "folder" / "notes.txt").read_text() == "mine"


def test_refusals_and_help_import_nothing_heavy(modules_after: Any, folder: Path, bert: Path) -> None:
    # Some of each stage that can refuse.
    names = ["rank 0", "too large", "no such model", "output exists", "truncated model", "compressed model"]
    words = [*(BAD[name][0] for name in names), ["--help"]]
    commands = [
        [f"model.name_or_path={bert}", *(word.replace("{tmp}", str(folder)) for word in more)] for more in words
    ]
    codes, modules = modules_after("factorize.py", commands)
    assert codes == [2] * len(names) + [0]
    assert modules & {"torch", "transformers", "pytorch_lightning", "pyarrow", "datasets", "sklearn"} == set()


def test_all_faults_are_told_at_once(factorize: Any) -> None:
    done = factorize("rank=0", "storage=int5", "table=nowhere/table.md", "seed=-1")
    assert done.code == 2
    assert [
        any(line.startswith(key) for line in done.err.split("factorize.py: ")[-1].splitlines())
        for key in ("rank", "storage", "seed", "table")
    ] == [True] * 4


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda table: table.__setitem__((7, 3), np.nan), "not finite, the first in row 7"),
        (lambda table: table.resize((100, H), refcheck=False), "cannot be loaded"),
    ],
    ids=["not finite", "of another shape"],
)
def test_a_table_that_cannot_be_used_is_refused_and_nothing_is_written(
    change: Any, told: str, run: Any, bert: Path, tmp_path: Path, refused: Any
) -> None:
    shutil.copytree(bert, tmp_path / "model")
    weights = {name: tensor.copy() for name, tensor in weights_of(bert).items()}
    change(weights[f"{TABLE}weight"])
    save_file(weights, tmp_path / "model/model.safetensors", metadata={"format": "pt"})
    done = run(
        "factorize.py", f"model.name_or_path={tmp_path}/model", "data=vader", "rank=4", f"output={tmp_path}/small"
    )
    refused(done, told)
    assert not (tmp_path / "small").exists()


def test_a_method_that_fails_writes_nothing(factorize: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from embfact.factorization.svd import SVD

    def fail(*args: Any, **kwargs: Any) -> Any:
        raise MemoryError("out of memory")

    monkeypatch.setattr(SVD, "fit", fail)
    done = factorize("factorization=svd", "rank=4", "output=small")
    assert done.code == 1
    assert "svd failed: MemoryError: out of memory" in done.err
    assert "Traceback" not in done.err
    assert not (tmp_path / "small").exists()


def test_the_real_command_runs_as_it_is_documented(command: Any, bert: Path, tmp_path: Path) -> None:
    words = [f"model.name_or_path={bert}", "data=vader", "factorization=svd", "rank=4", f"output={tmp_path}/small/"]
    done = command("factorize.py", *words)
    assert done.code == 0, done.err
    assert [row["method"] for row in rows_of(done.out)] == ["none", "svd"]
    assert (tmp_path / "small/model.safetensors").is_file()


def test_what_an_embedding_costs_where_it_is_used_is_printed_on_request(factorize: Any) -> None:
    words = ["factorization=svd,group_svd", "budget=0.07", "storage=int3", "-m"]
    plain, shipped = factorize(*words), factorize(*words, "--shipped")
    assert (plain.code, shipped.code) == (1, 1), "one row does not fit, and costs nothing"
    costs = ("zstd", "vs. float32", "vs. float16", "memory", "lookup")
    assert not {*costs} & {*rows_of(plain.out)[0]}
    dense, svd, unfit = rows_of(shipped.out)
    assert not any(unfit[cost] for cost in costs)
    assert (dense["vs. float32"], dense["vs. float16"]) == ("1.0x", "0.50x")
    (exact,) = [row for row in numbers(factorize(*words, "--format", "json").out) if row["method"] == "svd"]
    assert svd["vs. float32"] == f"{4 * V * H / exact['bytes']:.1f}x"
    assert svd["memory"] == svd["bytes"].partition(" ")[0]
    assert all(svd[cost] for cost in costs)
