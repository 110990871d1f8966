"""Small tokenizers of each kind, trained on made-up sentences."""

from __future__ import annotations

import json
import random
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
_SYLLABLES = [f"{c}{v}" for c in "bdklmrt" for v in "aeiou"] + ["ré", "ня", "ко", "ла", "東", "京", "é", "ü"]


def sentences(count: int, seed: int = 0) -> list[str]:
    """Sentences of words of one to four syllables; some words are frequent, as in a language."""
    draw = random.Random(seed)
    words = ["".join(draw.choices(_SYLLABLES, k=1 + draw.randrange(4))) for _ in range(400)]
    frequency = [1 / (1 + place) for place in range(len(words))]
    other = random.Random(seed + 1)
    return [
        " ".join(other.choices(words, frequency, k=other.randint(3, 12))) + other.choice(".!?") for _ in range(count)
    ]


TEXTS = sentences(600)


def wordpiece() -> Tokenizer:
    made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True, strip_accents=False, handle_chinese_chars=False)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.decoder = decoders.WordPiece()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    made.train_from_iterator(
        TEXTS, trainers.WordPieceTrainer(vocab_size=500, special_tokens=special, show_progress=False)
    )
    made.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    made.enable_padding(pad_id=0, pad_token="[PAD]")
    made.no_padding()
    return made


def byte_level() -> Tokenizer:
    """As in RoBERTa."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.train_from_iterator(
        TEXTS,
        trainers.BpeTrainer(
            vocab_size=700,
            special_tokens=SPECIAL,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    made.add_special_tokens(["<mask>"])
    made.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    return made


def end_of_word() -> Tokenizer:
    """Byte-pair encoding of characters, with a mark at the end of a word, as in XLM and CLIP."""
    made = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.train_from_iterator(
        TEXTS,
        trainers.BpeTrainer(vocab_size=600, special_tokens=SPECIAL, end_of_word_suffix="</w>", show_progress=False),
    )
    return _around(made)


def byte_fallback() -> Tokenizer:
    """Byte-pair encoding of characters with bytes for unknown ones, as in Llama."""
    pieces = [f"<0x{byte:02X}>" for byte in range(256)]
    made = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    trainer = trainers.BpeTrainer(vocab_size=900, special_tokens=[*SPECIAL, *pieces], show_progress=False)
    made.train_from_iterator((text for text in TEXTS), trainer)
    content = json.loads(made.to_str())
    # The trainer makes special tokens of bytes, which they are not.
    content["added_tokens"] = [token for token in content["added_tokens"] if token["content"] in SPECIAL]
    return _around(Tokenizer.from_str(json.dumps(content)))


def unigram() -> Tokenizer:
    """As in XLM-RoBERTa."""
    made = Tokenizer(models.Unigram())
    made.normalizer = normalizers.Replace(Regex(" {2,}"), " ")
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=400, special_tokens=SPECIAL, unk_token="<unk>", show_progress=False)
    made.train_from_iterator(TEXTS, trainer)
    made.add_special_tokens(["<mask>"])
    return _around(made)


def unigram_with_bytes() -> Tokenizer:
    """Unigram with bytes for unknown characters."""
    content = json.loads(unigram().to_str())
    content["model"]["vocab"][len(SPECIAL) : len(SPECIAL)] = [[f"<0x{byte:02X}>", 0.0] for byte in range(256)]
    content["model"]["byte_fallback"] = True
    content["added_tokens"] = [token for token in content["added_tokens"] if token["content"] in SPECIAL]
    return Tokenizer.from_str(json.dumps(content))


def content_of(tokenizer: Tokenizer) -> dict[str, Any]:
    """Its tokenizer.json."""
    return json.loads(tokenizer.to_str())


def _around(made: Tokenizer) -> Tokenizer:
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return made


KINDS = {
    kind.__name__: kind for kind in (wordpiece, byte_level, end_of_word, byte_fallback, unigram, unigram_with_bytes)
}
