"""The command line of scripts/predict.py."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from embfact.inference.submission import submission_table
from embfact.models import checkpoint


def logits(run: Path, texts: Sequence[str], pairs: Sequence[str] | None = None) -> np.ndarray:
    """The independent reference: the model asked for one text at a time, without padding."""
    model, tokenizer = checkpoint.load(run / "checkpoint")
    with torch.no_grad():
        rows = [
            model(**tokenizer(text, None if pairs is None else pairs[place], return_tensors="pt")).logits[0].numpy()
            for place, text in enumerate(texts)
        ]
    return np.array(rows)


def probabilities(run: Path, texts: Sequence[str], pairs: Sequence[str] | None = None) -> np.ndarray:
    return torch.softmax(torch.from_numpy(logits(run, texts, pairs)).double(), dim=1).numpy()


TEXTS = ["a fine film", "dull, dull, dull and much longer than the others", "fine"]


def test_typed_texts_are_labelled(command: Callable[..., Any], runs: Callable[..., Path]) -> None:
    run = runs("vader")
    done = command("predict.py", run, *[word for text in TEXTS for word in ("--text", text)])
    assert (done.code, done.err) == (0, "")
    expected = probabilities(run, TEXTS)
    for line, text, (negative, positive) in zip(done.out.splitlines(), TEXTS, expected, strict=True):
        assert line.startswith("positive" if positive > negative else "negative")
        assert f"(negative {negative:.3f}  positive {positive:.3f})" in line
        assert line.endswith(text)


DASHED = ["--x", "-1", "-- what a film --", "-x=1", "--no-such-option", "---", "-"]


def test_texts_may_start_with_dashes(run: Callable[..., Any], runs: Callable[..., Path], tmp_path: Path) -> None:
    directory, output = runs("vader"), tmp_path / "labels.csv"
    texts = [*DASHED, "--file", "--", "--text=a"]
    words = [word for text in DASHED for word in ("--text", text)]
    # The names of options, and the word that ends them, need an equals sign.
    words += [f"--text={text}" for text in texts[len(DASHED) :]]
    assert run("predict.py", directory, *words, "--output", output).code == 0
    with output.open(newline="") as file:
        assert [row["text"] for row in csv.DictReader(file)] == texts
    (tmp_path / "new.txt").write_text("\n".join(texts) + "\n")
    assert run("predict.py", directory, "--file", tmp_path / "new.txt", "--output", output).code == 0
    with output.open(newline="") as file:
        assert [row["text"] for row in csv.DictReader(file)] == texts


def test_other_values_may_start_with_dashes_too(
    run: Callable[..., Any], runs: Callable[..., Path], refused: Callable[..., None], tmp_path: Path
) -> None:
    directory = runs("vader")
    (tmp_path / "new.csv").write_text("--review\na fine film\n")
    words = ["--file", tmp_path / "new.csv", "--text-column"]
    assert run("predict.py", directory, *words, "--review").code == 0
    refused(run("predict.py", directory, *words, "--glue"), "--text-column=VALUE")
    refused(run("predict.py", directory, "--text"), "expected one argument")
    assert r"\caption{-{}-what} \label{-l}" in " ".join(
        run("table.py", directory, "--format", "latex", "--caption", "--what", "--label", "-l").out.split()
    )


def test_a_csv_file_becomes_a_csv_file(run: Callable[..., Any], runs: Callable[..., Path], tmp_path: Path) -> None:
    with (tmp_path / "new.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["id", "review"], *enumerate([*TEXTS, 'with "quotes",\nand lines'])])
    arguments = ["--file", tmp_path / "new.csv", "--text-column", "review", "--output", tmp_path / "out.csv"]
    assert run("predict.py", runs("vader"), *arguments).code == 0
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    texts = [row["text"] for row in rows]
    assert texts == [*TEXTS, 'with "quotes",\nand lines']
    found = [[float(row[f"probability of {name}"]) for name in ("negative", "positive")] for row in rows]
    expected = probabilities(runs("vader"), texts)
    np.testing.assert_allclose(found, expected, atol=2e-6)
    assert [row["label"] for row in rows] == [("negative", "positive")[code] for code in expected.argmax(axis=1)]


@pytest.mark.parametrize("kind", ["txt", "tsv", "jsonl", "parquet"])
def test_every_kind_of_file_is_read(
    run: Callable[..., Any], runs: Callable[..., Path], tmp_path: Path, kind: str
) -> None:
    path = tmp_path / f"new.{kind}"
    if kind == "parquet":
        pq.write_table(pa.table({"text": TEXTS}), path)
    else:
        lines = [json.dumps({"text": text}) for text in TEXTS] if kind == "jsonl" else TEXTS
        path.write_text("\n".join(["text", *lines] if kind == "tsv" else lines) + "\n")
    assert run("predict.py", runs("vader"), "--file", path, "--output", tmp_path / "out.jsonl").code == 0
    found = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [row["text"] for row in found] == TEXTS
    values = [[row["probabilities"][name] for name in ("negative", "positive")] for row in found]
    np.testing.assert_allclose(values, probabilities(runs("vader"), TEXTS), atol=2e-6)


@pytest.mark.parametrize("kind", ["txt", "csv", "tsv", "jsonl"])
def test_lines_that_end_in_cr_alone_are_lines(
    run: Callable[..., Any], runs: Callable[..., Path], tmp_path: Path, kind: str
) -> None:
    lines = {"jsonl": [json.dumps({"text": text}) for text in TEXTS], "csv": ["text", *(f'"{text}"' for text in TEXTS)]}
    lines |= {"txt": TEXTS, "tsv": ["text", *TEXTS]}
    (tmp_path / f"old.{kind}").write_bytes("\r".join(lines[kind]).encode())
    assert (
        run("predict.py", runs("vader"), "--file", tmp_path / f"old.{kind}", "--output", tmp_path / "o.jsonl").code == 0
    )
    assert [json.loads(line)["text"] for line in (tmp_path / "o.jsonl").read_text().splitlines()] == TEXTS


def test_a_view_of_strings_is_text(run: Callable[..., Any], runs: Callable[..., Path], tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": pa.array(TEXTS, pa.string_view())}), tmp_path / "view.parquet")
    done = run("predict.py", runs("vader"), "--file", tmp_path / "view.parquet")
    assert (done.code, len(done.out.splitlines())) == (0, len(TEXTS))


def test_pairs_are_labelled_by_all_their_classes(
    run: Callable[..., Any], runs: Callable[..., Path], tmp_path: Path
) -> None:
    pairs = TEXTS[::-1]
    words = [word for both in zip(TEXTS, pairs, strict=True) for word in ("--text", both[0], "--pair", both[1])]
    assert run("predict.py", runs("mnli"), *words, "--output", tmp_path / "a.jsonl").code == 0
    with (tmp_path / "new.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["second", "first"], *zip(pairs, TEXTS, strict=True)])
    columns = ["--text-column", "first", "--text-column", "second"]
    words = ["--file", tmp_path / "new.csv", *columns, "--output", tmp_path / "b.jsonl"]
    assert run("predict.py", runs("mnli"), *words).code == 0
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()
    found = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert [row["text_pair"] for row in found] == pairs
    assert list(found[0]["probabilities"]) == ["entailment", "neutral", "contradiction"]
    values = [list(row["probabilities"].values()) for row in found]
    np.testing.assert_allclose(values, probabilities(runs("mnli"), TEXTS, pairs), atol=2e-6)


def test_a_regression_gives_values(run: Callable[..., Any], runs: Callable[..., Path], tmp_path: Path) -> None:
    words = ["--text", TEXTS[0], "--pair", TEXTS[1]]
    assert run("predict.py", runs("stsb"), *words, "--output", tmp_path / "a.jsonl").code == 0
    assert run("predict.py", runs("stsb"), *words, "--output", tmp_path / "a.csv").code == 0
    expected = logits(runs("stsb"), TEXTS[:1], TEXTS[1:2])[0, 0]
    found = json.loads((tmp_path / "a.jsonl").read_text())
    assert found == {"text": TEXTS[0], "text_pair": TEXTS[1], "value": pytest.approx(expected, abs=2e-6)}
    header, row = (tmp_path / "a.csv").read_text().splitlines()
    assert header == "text,text_pair,value"
    assert row.endswith(f",{found['value']}")
    assert run("predict.py", runs("stsb"), *words).out.startswith(f"{expected:.3f}  {TEXTS[0]} | ")


# Column of the data set in the mirror -> what GLUE wants to see of its classes.
CLASSES = {
    "sst2": {"SST-2.tsv": ("test", ["sentence"], ["0", "1"])},
    "rte": {"RTE.tsv": ("test", ["sentence1", "sentence2"], ["entailment", "not_entailment"])},
    "mnli": {
        "MNLI-m.tsv": ("test_matched", ["premise", "hypothesis"], ["entailment", "neutral", "contradiction"]),
        "MNLI-mm.tsv": ("test_mismatched", ["premise", "hypothesis"], ["entailment", "neutral", "contradiction"]),
    },
}


@pytest.mark.parametrize("task", CLASSES)
def test_glue_gets_every_row_of_its_test_split(
    run: Callable[..., Any], runs: Callable[..., Path], mirror: Path, tmp_path: Path, task: str
) -> None:
    done = run("predict.py", runs(task), "--glue", "--output", tmp_path / "glue")
    assert done.code == 0
    assert sorted(path.name for path in (tmp_path / "glue").iterdir()) == sorted(CLASSES[task])
    for name, (split, columns, words) in CLASSES[task].items():
        assert f"wrote {tmp_path / 'glue' / name}" in done.out
        table = pq.read_table(mirror / "glue" / task / f"{split}.parquet")
        expected = logits(runs(task), *(table.column(column).to_pylist() for column in columns)).argmax(axis=1)
        header, *lines = (tmp_path / "glue" / name).read_text().splitlines()
        assert header == "index\tprediction"
        assert lines == [f"{index}\t{words[code]}" for index, code in enumerate(expected)]


def test_glue_gets_similarities_from_0_to_5(run: Callable[..., Any], runs: Callable[..., Path], mirror: Path) -> None:
    done = run("predict.py", runs("stsb"), "--glue")
    assert (done.code, done.err) == (0, "")
    table = pq.read_table(mirror / "glue" / "stsb" / "test.parquet")
    expected = logits(runs("stsb"), *(table.column(f"sentence{side}").to_pylist() for side in (1, 2)))[:, 0]
    header, *lines = (runs("stsb") / "submission" / "STS-B.tsv").read_text().splitlines()
    assert header == "index\tprediction"
    found = [line.split("\t") for line in lines]
    assert [int(index) for index, _ in found] == list(range(table.num_rows))
    assert all(len(value.split(".")[1]) == 3 for _, value in found)
    np.testing.assert_allclose([float(value) for _, value in found], np.clip(expected, 0, 5), atol=6e-4)


def test_glue_files_hold_the_codes_of_all_other_tasks_and_no_value_out_of_range() -> None:
    scores = np.array([[0.0, 1.0], [2.0, 1.0]])
    for name in ("CoLA.tsv", "MRPC.tsv", "QQP.tsv", "WNLI.tsv"):
        assert (
            submission_table(name, [0, 1], scores, ("not_entailment", "entailment"))
            == "index\tprediction\n0\t1\n1\t0\n"
        )
    assert submission_table("QNLI.tsv", [0], scores[:1], ("entailment", "not_entailment")).endswith(
        "0\tnot_entailment\n"
    )
    values = submission_table("STS-B.tsv", [0, 1, 2], np.array([[-0.2], [5.3], [2.71828]]), None)
    assert values == "index\tprediction\n0\t0.000\n1\t5.000\n2\t2.718\n"


REFUSED = {
    "nothing to label": ("vader", [], "one of the arguments --text --file --glue is required"),
    "two sources": ("vader", ["--text", "a", "--glue"], "not allowed with argument"),
    "an empty text": ("vader", ["--text", "fine", "--text", " "], "--text number 2 is empty"),
    "a pair for single texts": ("vader", ["--text", "a", "--pair", "b"], "was trained on single texts"),
    "no pairs": ("rte", ["--text", "a"], "trained on pairs (sentence1, sentence2); give one --pair for each --text"),
    "too few pairs": ("rte", ["--text", "a", "--text", "b", "--pair", "c"], "found 2 --text, 1 --pair"),
    "a pair alone": ("rte", ["--pair", "a"], "required"),
    "a column alone": ("vader", ["--text", "a", "--text-column", "b"], "--text-column needs --file"),
    "no such file": ("vader", ["--file", "nowhere.csv"], "there is no file nowhere.csv"),
    "a wrong ending": ("vader", ["--file", "a.doc"], "use one of .txt, .csv, .tsv, .jsonl, .parquet"),
    "a missing column": ("vader", ["--file", "{tmp}/a.csv"], "no column 'text'; did you mean 'texts'? (option --text"),
    "a mistyped column": ("vader", ["--file", "{tmp}/a.csv", "--text-column", "txts"], "did you mean 'texts'?"),
    "numbers": ("vader", ["--file", "{tmp}/a.parquet"], "'text' holds int64, not text; choose another with --text-col"),
    "one column for pairs": ("rte", ["--file", "{tmp}/a.csv", "--text-column", "texts"], "--text-column 2 times"),
    "columns of plain text": ("vader", ["--file", "{tmp}/a.txt", "--text-column", "a"], "a.txt has no columns"),
    "plain text for pairs": ("rte", ["--file", "{tmp}/a.txt"], "give --file a CSV, TSV, JSON Lines or Parquet file"),
    "a compressed file": ("vader", ["--file", "a.csv.gz"], "use one of .txt, .csv, .tsv, .jsonl, .parquet"),
    "half a character": ("vader", ["--file", "{tmp}/half.jsonl"], "half.jsonl, line 2: 'text' holds \\ud83d"),
    "an object": ("vader", ["--file", "{tmp}/nested.jsonl"], "nested.jsonl, line 2: 'text' holds an object"),
    "bytes": ("vader", ["--file", "{tmp}/bytes.parquet"], "'text' holds binary, not text; choose another with --text"),
    "an empty line": ("vader", ["--file", "{tmp}/a.txt"], "a.txt, line 2: the text in 'text' is empty"),
    "an empty file": ("vader", ["--file", "{tmp}/none.txt"], "none.txt has no rows"),
    "not UTF-8": ("vader", ["--file", "{tmp}/latin.txt"], "latin.txt, line 2 is not UTF-8"),
    "not GLUE": ("vader", ["--glue"], "was trained on vader, which has no GLUE submission"),
    "a file as the folder": ("sst2", ["--glue", "--output", "{tmp}/a.csv"], "with --glue give a folder"),
    "an unknown output": ("vader", ["--text", "a", "--output", "{tmp}/out.xlsx"], "use .csv or .jsonl"),
    "no output folder": ("vader", ["--text", "a", "--output", "{tmp}/no/out.csv"], "an existing folder"),
    "no such GPU": ("vader", ["--text", "a", "--device", "cuda:99"], "no device cuda:99"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_mistakes_are_told_in_words(
    run: Callable[..., Any], runs: Callable[..., Path], refused: Callable[..., None], tmp_path: Path, case: str
) -> None:
    data, words, message = REFUSED[case]
    (tmp_path / "a.csv").write_text("texts,more\nfine,dull\n")
    (tmp_path / "a.txt").write_text("fine\n\ndull\n")
    (tmp_path / "none.txt").touch()
    (tmp_path / "latin.txt").write_bytes("good\ncaf\xe9\n".encode("latin-1"))
    pq.write_table(pa.table({"text": [1, 2]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"text": [b"fine", b"dull"]}), tmp_path / "bytes.parquet")
    for name, odd in (("half", r'"hi \ud83d"'), ("nested", '{"a": ' * 10 + "1" + "}" * 10)):
        (tmp_path / f"{name}.jsonl").write_text(f'{{"text": "fine"}}\n{{"text": {odd}}}\n')
    before = sorted(tmp_path.iterdir())
    refused(run("predict.py", runs(data), *(word.format(tmp=tmp_path) for word in words)), message)
    assert sorted(tmp_path.iterdir()) == before


def test_without_the_test_rows_the_remedy_is_named(
    run: Callable[..., Any],
    runs: Callable[..., Path],
    refused: Callable[..., None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    monkeypatch.setenv("EMBFACT_DATA_DIR", str(tmp_path))
    refused(
        run("predict.py", runs("sst2"), "--glue", "--output", tmp_path / "glue"), "set EMBFACT_DATA_DIR to a folder"
    )
    assert not (tmp_path / "glue").exists()


def test_refusals_import_nothing_heavy(runs: Callable[..., Path], modules_after: Callable[..., Any]) -> None:
    good = str(runs("vader"))
    wrong = [
        [good],
        ["--help"],
        ["nowhere", "--glue"],
        [good, "--text", "a", "--output", "a.doc"],
        [good, "--pair", "a"],
    ]
    codes, modules = modules_after("predict.py", wrong)
    assert codes == [2, 0, 2, 2, 2]
    assert not modules & {"torch", "transformers", "pyarrow", "datasets", "pytorch_lightning", "hydra"}
    codes, modules = modules_after("predict.py", [[good, "--text", ""], [good, "--file", "a.csv"], [good, "--glue"]])
    assert codes == [2, 2, 2]
    assert not modules & {"torch", "transformers", "datasets", "pytorch_lightning"}
