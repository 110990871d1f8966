"""A run gets the evidence its method asks for; gradients are taken once for a backbone and its rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pytest
import torch

from embfact import evidence
from embfact.config.compose import hydra_session
from embfact.config.run_config import RunConfig
from embfact.data.tokenized import Tokenized
from embfact.evidence.gradients import Calibration
from embfact.factorization.none import Dense
from embfact.models.backbones import fingerprint
from embfact.models.loading import load_backbone
from tests.helpers.places import CONF

ALL = frozenset({"token_counts", "row_gradients", "gradient_metric"})


class Curious(Dense):
    """Keeps the table, and asks for all there is."""

    needs: ClassVar[Any] = ALL


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of a tiny BERT without a head."""
    from transformers import AutoModel, AutoTokenizer, BertConfig

    from embfact.models.backbones import resolve

    folder = tmp_path_factory.mktemp("tiny")
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        AutoModel.from_config(BertConfig(vocab_size=30522, pad_token_id=0, **sizes)).save_pretrained(folder)
    AutoTokenizer.from_pretrained(resolve("packaged:minilm")).save_pretrained(folder)
    return folder


@pytest.fixture
def configure(pretrained: Path, tmp_path: Path) -> Callable[..., RunConfig]:
    """The configuration of a run on the tiny checkpoint, with a cache of the test's own."""

    def make(*words: str, needs: frozenset[str] = ALL) -> RunConfig:
        common = [f"model.name_or_path={pretrained}", f"paths.cache_dir={tmp_path}", "evidence.rows=20"]
        with hydra_session(CONF) as composer:
            config = RunConfig.parse(composer.values([*common, "rank=4", "evidence.warmup_steps=2", *words])[0])
        Curious.needs = needs
        return config.model_copy(update={"factorization": Curious()})

    return make


@pytest.fixture
def rows() -> Tokenized:
    draw = np.random.default_rng(0)
    lengths = draw.integers(3, 9, 50)
    tokens = draw.integers(2000, 2050, lengths.sum()).astype(np.int32)
    return Tokenized(np.arange(50), draw.integers(2, size=50), lengths, tokens, np.zeros(lengths.sum(), np.int8))


def collect(config: RunConfig, rows: Tokenized) -> Any:
    model, tokenizer = load_backbone(config.model, num_labels=2, label_names=None, dropout=None, seed=config.seed)
    return evidence.collect(config, fingerprint(config.model), model, tokenizer, rows, pa.table({}))


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows whenever gradients are taken."""
    calls: list[int] = []
    measure = Calibration.measure
    monkeypatch.setattr(Calibration, "measure", lambda *a: calls.append(1) or measure(*a))
    return calls


def equal(one: Any, other: Any) -> bool:
    return all(torch.equal(getattr(one, name), getattr(other, name)) for name in sorted(ALL))


@pytest.mark.parametrize("needs", [{"token_counts"}, {"row_gradients"}, {"gradient_metric"}, set(), ALL])
def test_a_method_gets_what_it_asks_for_and_nothing_else(needs, configure, rows):
    found = collect(configure(needs=frozenset(needs)), rows)
    shapes = {"token_counts": (30522,), "row_gradients": (30522,), "gradient_metric": (8, 8)}
    for name, shape in shapes.items():
        value = getattr(found, name)
        assert (value is None) == (name not in needs)
        assert value is None or (value.shape == shape and value.dtype == torch.float64 and value.abs().sum() > 0)


def test_gradients_are_taken_once_for_all_seeds_methods_and_ranks_to_the_last_bit(configure, rows, measured, tmp_path):
    first = collect(configure("seed=0", "rank=4", "trainer.batch_size=16"), rows)
    second = collect(configure("seed=1", "rank=2", "task.dropout=0.3", "factorization=random"), rows)
    assert len(measured) == 1
    assert equal(first, second)
    assert len(list(tmp_path.glob("evidence/*"))) == 1


def test_the_runs_own_model_and_random_numbers_are_as_if_nothing_had_happened(configure, rows):
    config = configure("seed=3")
    model, tokenizer = load_backbone(config.model, num_labels=2, label_names=None, dropout=None, seed=3)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    torch.manual_seed(7)
    state = torch.get_rng_state()
    evidence.collect(config, fingerprint(config.model), model, tokenizer, rows, pa.table({}))
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize("word", ["evidence.rows=21", "evidence.warmup_steps=3", "task.label_smoothing=0.1"])
def test_what_changes_the_gradients_is_not_mixed_up(word, configure, rows, measured):
    first, second = collect(configure(), rows), collect(configure(word), rows)
    assert len(measured) == 2
    assert not equal(first, second)


@pytest.mark.parametrize("part", ["tokens", "labels", "lengths"])
def test_other_rows_have_gradients_of_their_own(part, configure, rows, measured):
    collect(configure(), rows)
    values = dict(vars(rows))
    values[part] = values[part][::-1].copy()
    collect(configure(), Tokenized(**{name: values[name] for name in ("ids", "labels", "lengths", "tokens", "types")}))
    assert len(measured) == 2


def test_a_backbone_with_random_weights_is_another_one_for_each_seed(configure, rows, measured):
    sizes = "hidden_size: 8, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 16"
    words = ["model=bert_scratch", "model.name_or_path=null", f"model.architecture={{model_type: bert, {sizes}}}"]
    first, again = collect(configure(*words, "seed=1"), rows), collect(configure(*words, "seed=1"), rows)
    assert equal(first, again)
    assert len(measured) == 1
    assert not equal(first, collect(configure(*words, "seed=2"), rows))
    assert len(measured) == 2


@pytest.mark.parametrize("damage", ["cut short", "flipped bit", "empty", "other content"])
def test_a_damaged_file_is_taken_anew(damage, configure, rows, measured, tmp_path):
    first = collect(configure(), rows)
    (path,) = tmp_path.glob("evidence/*")
    content = path.read_bytes()
    flipped = bytearray(content)
    flipped[-9] ^= 4
    broken = {"cut short": content[:-8], "flipped bit": bytes(flipped), "empty": b"", "other content": b"{}" * 50}
    path.write_bytes(broken[damage])
    assert equal(first, collect(configure(), rows))
    assert len(measured) == 2
    assert path.read_bytes() == content
    assert list(tmp_path.glob("evidence/*")) == [path], "nothing half-written is left"


def test_texts_of_another_corpus_are_counted_in_place_of_the_training_rows(configure, rows, tmp_path, pretrained):
    from transformers import AutoTokenizer

    texts = ["a film of unusual warmth", "the zebra, again", "words " * 300]
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("\n".join(texts))
    words = (f"evidence.source={corpus}", "data.max_length=16")
    counts = collect(configure(*words, needs=frozenset({"token_counts"})), rows).token_counts
    tokenizer = AutoTokenizer.from_pretrained(pretrained)
    expected = Counter(t for ids in tokenizer(texts, truncation=True, max_length=16)["input_ids"] for t in ids)
    assert {token: int(number) for token, number in enumerate(counts) if number} == expected


def test_all_texts_of_the_training_split_can_be_counted(configure, rows):
    texts = pa.table({"id": [0, 1], "text": ["good film", "good"], "label": pa.nulls(2, pa.int64())})
    config = configure("evidence.source=train_all", needs=frozenset({"token_counts"}))
    model, tokenizer = load_backbone(config.model, num_labels=2, label_names=None, dropout=None, seed=0)
    found = evidence.collect(config, fingerprint(config.model), model, tokenizer, rows, texts).token_counts
    good, film = (tokenizer.convert_tokens_to_ids(word) for word in ("good", "film"))
    assert (found[good], found[film], found.sum()) == (2, 1, 2 + 1 + 2 * 2)  # and two special tokens a text
