"""`trim.py`: the folder that it writes, beside the model that it started from, both loaded by transformers alone."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tokenizers
import torch
from safetensors.torch import load_file
from transformers import (
    AutoConfig,
    AutoModel,
    AutoTokenizer,
    BartConfig,
    BartForConditionalGeneration,
    BertConfig,
    BertForMaskedLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaForMaskedLM,
    XLMRobertaConfig,
    XLMRobertaForMaskedLM,
    XLMRobertaModel,
)

from embfact.models.backbones import resolve
from tests.helpers.tokenizers import KINDS, TEXTS, sentences

MIRROR = os.environ.get("EMBFACT_DATA_DIR")  # tests call commands without it
H = 16
_SIZES = {"hidden_size": H, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
_SIZES |= {"max_position_embeddings": 140, "type_vocab_size": 1}
_FAIRSEQ = {"bos_token": "<s>", "eos_token": "</s>", "cls_token": "<s>", "sep_token": "</s>", "mask_token": "<mask>"}
_FAIRSEQ |= {"unk_token": "<unk>", "pad_token": "<pad>"}
_BERT = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}
_BART = {"d_model": H, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2}
_BART |= {"decoder_attention_heads": 2, "encoder_ffn_dim": 24, "decoder_ffn_dim": 24, "max_position_embeddings": 140}

MODELS: dict[str, tuple[str, dict[str, str], str, Callable[[int], PreTrainedModel]]] = {
    "tied": (
        "wordpiece",
        _BERT,
        "BertTokenizer",
        lambda v: BertForMaskedLM(BertConfig(vocab_size=v, **_SIZES, pad_token_id=0)),
    ),
    "untied": (
        "wordpiece",
        _BERT,
        "BertTokenizer",
        lambda v: BertForMaskedLM(BertConfig(vocab_size=v + 5, **_SIZES, pad_token_id=0, tie_word_embeddings=False)),
    ),
    "roberta": (
        "byte_level",
        _FAIRSEQ,
        "RobertaTokenizer",
        lambda v: RobertaForMaskedLM(
            RobertaConfig(vocab_size=v, **_SIZES, pad_token_id=1, bos_token_id=0, eos_token_id=2)
        ),
    ),
    "xlm_roberta": (
        "unigram",
        _FAIRSEQ,
        "XLMRobertaTokenizer",
        lambda v: XLMRobertaForMaskedLM(
            XLMRobertaConfig(vocab_size=v, **_SIZES, pad_token_id=1, bos_token_id=0, eos_token_id=2)
        ),
    ),
    "bart": (
        "byte_level",
        _FAIRSEQ,
        "PreTrainedTokenizerFast",
        lambda v: BartForConditionalGeneration(BartConfig(vocab_size=v, **_BART)),
    ),
}


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Makes the folder of a random model with a small tokenizer, as transformers saves it."""
    made: dict[str, Path] = {}

    def folder(name: str) -> Path:
        if name not in made:
            kind, special, tokenizer_class, build = MODELS[name]
            reference = KINDS[kind]()
            made[name] = tmp_path_factory.mktemp(name) / "whole"
            torch.manual_seed(1)
            model = build(max(reference.get_vocab().values()) + 1)
            for tensor in [*model.parameters(), *model.buffers()]:
                if tensor.is_floating_point():  # biases too
                    torch.nn.init.normal_(tensor, std=0.5)
            model.save_pretrained(made[name])
            PreTrainedTokenizerFast(tokenizer_object=reference, **special).save_pretrained(made[name])
            settings = json.loads((made[name] / "tokenizer_config.json").read_text())
            (made[name] / "tokenizer_config.json").write_text(
                json.dumps({**settings, "tokenizer_class": tokenizer_class})
            )
        return made[name]

    return folder


@pytest.fixture
def trim(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """The command, on texts of the kind that the small tokenizers know, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS[:150]), encoding="utf-8")

    def call(model: object, *words: str) -> Any:
        start = [f"model.name_or_path={model}", "data=vader", "data.train_size=50", "data.eval_size=20"]
        return run("trim.py", *start, "data.max_length=32", "evidence.source=texts.txt", *words)

    return call


def load(folder: Path, kind: Any = AutoModel) -> Any:
    return kind.from_pretrained(folder).eval()


def record(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "trimming.json").read_text())


@pytest.mark.parametrize("name", MODELS)
def test_the_trimmed_model_is_the_whole_one_on_texts_that_it_knows(
    name: str, source: Callable[[str], Path], trim: Any, tmp_path: Path
) -> None:
    before, after = source(name), tmp_path / "small"
    done = trim(before, "min_count=2", "output=small")
    assert done.code == 0, done.err
    figures, old_ids = record(after), record(after)["old_ids"]
    rows = len(old_ids)

    kind = type(MODELS[name][3](300))
    one, other = load(before, kind), load(after, kind)
    first, second = AutoTokenizer.from_pretrained(before), AutoTokenizer.from_pretrained(after)
    assert type(first) is type(second)
    assert len(second) == rows == other.config.vocab_size == other.get_input_embeddings().num_embeddings
    assert rows < len(first)
    names = {key: token for key, token in first.special_tokens_map.items() if isinstance(token, str)}
    for key, token in names.items():
        assert old_ids[second.convert_tokens_to_ids(token)] == first.convert_tokens_to_ids(token), key
    for key, value in one.config.to_dict().items():
        if key.endswith("_token_id") and value is not None:
            assert old_ids[getattr(other.config, key)] == value, key

    same = 0
    for text in [*TEXTS[:150], *sentences(30, seed=3)]:
        ids, new = (tokenizer(text, return_tensors="pt") for tokenizer in (first, second))
        with torch.no_grad():
            theirs = other(**new)
        if set(ids["input_ids"][0].tolist()) <= set(old_ids):
            assert [old_ids[token] for token in new["input_ids"][0]] == ids["input_ids"][0].tolist()
            with torch.no_grad():
                ours = one(**ids)
            torch.testing.assert_close(theirs.logits, ours.logits[..., old_ids], rtol=0, atol=1e-6)
            same += 1
        assert torch.isfinite(theirs.logits).all()
    assert 10 < same < 180

    assert figures["tokens"] == [len(first), rows]
    assert figures["embedding"][1]["bytes"] == rows * H * 4
    weights = load_file(after / "model.safetensors")
    assert figures["whole"][1]["bytes"] == sum(tensor.nbytes for tensor in weights.values())
    assert not [tensor for tensor in weights.values() if len(first) in tensor.shape]


def test_figures_of_texts_are_counted_one_by_one(source: Callable[[str], Path], trim: Any, tmp_path: Path) -> None:
    before = source("xlm_roberta")
    done = trim(before, "size=250", "output=small", "--format", "json")
    assert done.code == 0, done.err
    figures, kept = json.loads(done.out), set(record(tmp_path / "small")["old_ids"])
    assert figures["tokens"][1] == len(kept) == 250
    first, second = (AutoTokenizer.from_pretrained(folder) for folder in (before, tmp_path / "small"))
    rows = [first(text, add_special_tokens=False)["input_ids"] for text in TEXTS[:150]]
    counted = figures["texts"][0]
    assert (counted["name"], counted["texts"]) == ("counted: texts.txt", 150)
    assert counted["tokens"] == sum(map(len, rows))
    assert counted["broken_tokens"] == sum(token not in kept for row in rows for token in row) > 0
    assert counted["broken_texts"] == sum(not kept.issuperset(row) for row in rows)
    after = [second(text, add_special_tokens=False)["input_ids"] for text in TEXTS[:150]]
    assert counted["tokens_after"] == sum(map(len, after))
    assert [part["name"] for part in figures["texts"]] == ["counted: texts.txt", "held out", "test"]


def test_a_trimmed_model_is_a_backbone_and_can_be_trimmed_again(
    source: Callable[[str], Path], trim: Any, train: Any, tmp_path: Path
) -> None:
    assert trim(source("tied"), "size=300", "output=small").code == 0
    assert trim("small", "size=200", "output=smaller").code == 0
    smaller = record(tmp_path / "smaller")
    assert smaller["tokens"] == [300, 200]
    words = ["model.name_or_path=smaller", "data=vader", "debug=fast", "data.max_length=32", "trainer=cpu"]
    done = train(*words, "factorization=none,svd", "rank=2", "-m", "logger=none", cwd=tmp_path)
    assert done.code == 0, done.err
    found = [json.loads(path.read_text()) for path in tmp_path.glob("outputs/**/record.json")]
    assert {one["size"]["dense"]["embedding"]["parameters"] for one in found} == {200 * H}


def test_an_older_trimming_is_replaced_and_nothing_else(
    source: Callable[[str], Path], trim: Any, refused: Any, tmp_path: Path, files_below: Any
) -> None:
    before = source("tied")
    assert trim(before, "size=300", "output=small").code == 0
    assert trim(before, "size=250", "output=small").code == 0
    assert len(record(tmp_path / "small")["old_ids"]) == 250
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    files = files_below(tmp_path)
    for words, reason in (
        (["size=300", "output=mine"], "output holds letter.txt, which embfact trim did not write"),
        (["size=300", f"output={before}"], "did not write"),
        (["size=300", "output=texts.txt"], "output is a file"),
        (["size=300"], "give output=DIR"),
        (["output=new"], "give size=, min_count= or script="),
        (["size=many", "output=new"], "size must be a whole number of 1 or more (found size=many)"),
        (["min_count=0", "output=new"], "min_count must be a whole number"),
        (["script=Klingonian", "output=new"], "there is no script 'Klingonian'"),
        (["size=10", "output=new"], "have to stay"),
        (["size=100000", "output=new"], "use a smaller size"),
        (["size=300", "rank=8", "output=new"], "rank has no effect on trimming"),
        (["size=300", "data.train_size=-1", "output=new"], "train_size"),
    ):
        refused(trim(before, *words), reason)
    refused(trim("./nowhere", "size=300", "output=new"), "there is no directory")
    assert {name for name in files_below(tmp_path) if "token_cache" not in name} == {
        name for name in files if "token_cache" not in name
    }


def test_a_folder_with_other_files_beside_a_trimming_is_not_replaced(
    source: Callable[[str], Path], trim: Any, refused: Any, tmp_path: Path
) -> None:
    assert trim(source("tied"), "size=300", "output=small").code == 0
    (tmp_path / "small" / "notes.txt").write_text("mine")
    refused(trim(source("tied"), "size=250", "output=small"), "notes.txt")


@pytest.mark.slow
def test_minilm_loads_in_sentence_transformers_with_no_code_of_ours(trim: Any, tmp_path: Path) -> None:
    """The real tokenizer and weights: in a process without embfact, the same vectors for texts that it knows."""
    pytest.importorskip("sentence_transformers")
    whole, texts = (
        Path(resolve("packaged:minilm")),
        ["a fine film with great acting", "the story is dull, the end awful!"],
    )
    (tmp_path / "texts.txt").write_text("\n".join(texts))
    done = trim(whole, "min_count=1", "output=small")
    assert done.code == 0, done.err
    program = (
        "import json, sys\n"
        "from sentence_transformers import SentenceTransformer\n"
        "texts = sys.argv[3:]\n"
        "one, other = (SentenceTransformer(folder, device='cpu') for folder in sys.argv[1:3])\n"
        "difference = abs(one.encode(texts) - other.encode(texts)).max()\n"
        "unseen = other.encode(['Lithography, 東京 and \\U0001f600'])\n"
        "print(json.dumps([float(difference), float(abs(unseen).max()), len(other.tokenizer),\n"
        "    [name for name in sys.modules if name.startswith('embfact')]]))\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program, str(whole), str(tmp_path / "small"), *texts],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    difference, largest, tokens, ours = json.loads(answer.stdout.splitlines()[-1])
    assert difference <= 1e-6
    assert 0 < largest < 1
    assert tokens == len(record(tmp_path / "small")["old_ids"]) < 2100
    assert ours == []


@pytest.mark.parametrize("script", ["Latin", "Cyrillic"])
def test_a_script_of_minilm(script: str, trim: Any, tmp_path: Path) -> None:
    done = trim(resolve("packaged:minilm"), f"script={script}", "output=small")
    assert done.code == 0, done.err
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "small")
    text = {"Latin": "photosynthesis in plants, 1984", "Cyrillic": "ленин и россия"}
    own = tokenizer(text[script])["input_ids"]
    assert tokenizer.unk_token_id not in own
    assert AutoConfig.from_pretrained(tmp_path / "small").vocab_size == len(tokenizer)
    if script == "Latin":
        assert tokenizer.convert_ids_to_tokens(own) == AutoTokenizer.from_pretrained(
            resolve("packaged:minilm")
        ).tokenize(text[script], add_special_tokens=True)


@pytest.mark.slow
@pytest.mark.real_data
def test_ten_thousand_reviews_keep_their_pieces(trim: Any, run: Any, tmp_path: Path) -> None:
    """MiniLM trimmed to the tokens of 10,000 reviews: the same ids through the map, and the same hidden states."""
    path = Path(MIRROR or "nowhere") / "imdb" / "train.parquet"
    if not path.is_file():
        pytest.skip("EMBFACT_DATA_DIR has no imdb/train.parquet")
    texts = pq.read_table(path).column("text").to_pylist()[:10_000]
    pq.write_table(pa.table({"text": texts}), tmp_path / "reviews.parquet")
    whole = resolve("packaged:minilm")
    done = trim(whole, "evidence.source=reviews.parquet", "min_count=1", "output=small")
    assert done.code == 0, done.err
    old_ids = np.array(record(tmp_path / "small")["old_ids"])
    first, second = (AutoTokenizer.from_pretrained(folder) for folder in (whole, tmp_path / "small"))
    ours, theirs = (tokenizer(texts, verbose=False)["input_ids"] for tokenizer in (first, second))
    assert all(old_ids[new].tolist() == old for old, new in zip(ours, theirs, strict=True))
    one, other = load(Path(whole)), load(tmp_path / "small")
    for start in range(0, 1000, 50):
        batches = [
            tokenizer(texts[start : start + 50], padding=True, truncation=True, max_length=64, return_tensors="pt")
            for tokenizer in (first, second)
        ]
        with torch.no_grad():
            states = [model(**batch).last_hidden_state for model, batch in zip((one, other), batches, strict=True)]
        torch.testing.assert_close(states[1], states[0], rtol=0, atol=1e-6)


@pytest.mark.slow
def test_a_multilingual_table_is_trimmed_within_a_minute(trim: Any, tmp_path: Path) -> None:
    """250,002 rows of 384 numbers, and as many pieces with scores, as in multilingual MiniLM."""
    alphabet = [chr(code) for low, high in ((97, 123), (0x430, 0x450), (0x4E00, 0x7000)) for code in range(low, high)]
    draw = random.Random(0)
    pieces = dict.fromkeys(["▁", *alphabet])
    while len(pieces) < 249_997:
        start = draw.choice(("▁", "")) + "".join(
            draw.choices(alphabet[: draw.choice((26, 58, 9000))], k=draw.randint(2, 7))
        )
        pieces.setdefault(start)
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    scored = [*((token, 0.0) for token in special), *((p, -5 - 1e-5 * place) for place, p in enumerate(pieces))]
    made = tokenizers.Tokenizer(tokenizers.models.Unigram(scored, 3))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    made.add_special_tokens(["<mask>"])
    made.post_processor = tokenizers.processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    PreTrainedTokenizerFast(tokenizer_object=made, **_FAIRSEQ).save_pretrained(tmp_path / "whole")
    sizes = _SIZES | {"hidden_size": 384, "max_position_embeddings": 514}
    names = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
    XLMRobertaModel(XLMRobertaConfig(vocab_size=250_002, **sizes, **names)).save_pretrained(tmp_path / "whole")
    start = perf_counter()
    done = trim("whole", "script=Latin", "output=small", "--format", "json")
    seconds = perf_counter() - start
    assert done.code == 0, done.err
    before, after = json.loads(done.out)["tokens"]
    assert before == 250_002
    assert 10_000 < after < 200_000
    assert seconds < 60
