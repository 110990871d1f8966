"""Texts as vectors: means written out, and hidden states against transformers' own forward pass."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, BertConfig, BertForMaskedLM, PreTrainedTokenizerBase, T5Config, T5Model

from embfact.analysis.texts import hidden_means, token_means
from embfact.data.tokenized import Tokenized

TEXTS = ["a fine film", "dull", "a very long and warm story of great fun and joy"]


@pytest.fixture(scope="module")
def tokenizer(small_tokenizer: Path) -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(small_tokenizer)


@pytest.fixture(scope="module")
def rows(tokenizer: PreTrainedTokenizerBase) -> Tokenized:
    ids = tokenizer(TEXTS)["input_ids"]
    tokens = np.concatenate(ids).astype(np.int32)
    lengths = np.array([len(one) for one in ids])
    return Tokenized(np.arange(3), np.array([1, 0, 1]), lengths, tokens, None)


def test_means_of_rows_leave_out_what_does_not_count(tokenizer: PreTrainedTokenizerBase, rows: Tokenized) -> None:
    table = np.random.default_rng(0).standard_normal((3000, 4)).astype(np.float32)
    counted = np.ones(3000, dtype=bool)
    counted[tokenizer.all_special_ids] = False
    expected = [table[tokenizer(text, add_special_tokens=False)["input_ids"]].mean(axis=0) for text in TEXTS]
    # Words that are split into pieces beyond the small vocabulary are unknown, which is special too.
    assert tokenizer.unk_token_id not in rows.tokens
    np.testing.assert_allclose(token_means(table, rows, counted), expected, atol=1e-6)
    assert not token_means(table, rows, np.zeros(3000, dtype=bool)).any()


def test_hidden_states_are_those_of_each_text_alone(tokenizer: PreTrainedTokenizerBase, rows: Tokenized) -> None:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=3000, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    model = BertForMaskedLM(config).eval()
    with torch.inference_mode():
        alone = [model.bert(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(dim=0) for text in TEXTS]
    np.testing.assert_allclose(hidden_means(model, tokenizer, rows), torch.stack(alone).numpy(), atol=1e-5)


def test_an_encoder_decoder_has_no_states_of_the_text(tokenizer: PreTrainedTokenizerBase, rows: Tokenized) -> None:
    model = T5Model(T5Config(vocab_size=3000, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2))
    assert hidden_means(model, tokenizer, rows) is None
