"""What the tests of the data share: a configuration by its options, small files, a small tokenizer."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from embfact.config.data_config import DataConfig

ROWS = [("a fine film", "good"), ("a dull film", "bad"), ("fine acting", "good"), ("dull plot", "bad")]


@pytest.fixture
def config() -> Callable[..., DataConfig]:
    """Makes a data configuration of given options."""

    def make(**options: Any) -> DataConfig:
        usual = {
            "name": "mine",
            "source": "files",
            "text": ["text"],
            "label": "label",
            "metrics": ["accuracy"],
            "selection_size": 0,
        }
        return DataConfig.model_validate(usual | options)

    return make


@pytest.fixture
def files(tmp_path: Path, config: Callable[..., DataConfig]) -> Callable[..., DataConfig]:
    """Writes two CSV files and gives the configuration that reads them."""

    def make(train: str | None = None, validation: str | None = None, **options: Any) -> DataConfig:
        usual = "text,label\n" + "".join(f"{text},{label}\n" for text, label in ROWS)
        (tmp_path / "train.csv").write_text(train or usual, encoding="utf-8")
        (tmp_path / "validation.csv").write_text(validation or usual, encoding="utf-8")
        paths = {f"{split}_file": str(tmp_path / f"{split}.csv") for split in ("train", "validation")}
        return config(**(paths | options))

    return make


@pytest.fixture
def real_data_dir() -> Callable[[str], str]:
    """Gives the folder of the real data sets, or skips where a data set is not there."""

    def find(mirror: str) -> str:
        folder = os.environ.get("EMBFACT_DATA_DIR")
        if not folder:
            pytest.skip("EMBFACT_DATA_DIR is not set")
        if not (Path(folder) / mirror).is_dir():
            pytest.skip(f"EMBFACT_DATA_DIR has no {mirror}")
        return folder

    return find


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    """A BERT-like word tokenizer that knows a few words."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "fine", "dull", "film", "plot", "acting"]
    backend = Tokenizer(WordLevel({word: place for place, word in enumerate(words)}, unk_token="[UNK]"))
    backend.pre_tokenizer = Whitespace()
    backend.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )
