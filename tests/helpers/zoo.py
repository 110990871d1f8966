"""Tiny models with random weights, one of each backbone that is supported, with the head that goes with it.

All have V = 60 tokens and layers of H = 16; ALBERT and ELECTRA keep their tables at 8 columns.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any

import torch
import transformers
from transformers import AutoConfig, PreTrainedModel

V, H, PADDING = 60, 16, 0
IDS = torch.tensor([[2, 10, 11, 12, 3], [2, 20, 21, 59, 3], [2, 30, 3, 0, 0]])

_ENCODER = {"hidden_size": H, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
_DECODER = _ENCODER | {"num_key_value_heads": 1, "head_dim": 8, "max_position_embeddings": 64}
_T5 = {"d_model": H, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 2}
_LAYERS = {"layers": 1, "ffn_dim": 32, "attention_heads": 2}
_BART = {f"{part}_{name}": count for part in ("encoder", "decoder") for name, count in _LAYERS.items()}
_BART |= {"d_model": H, "max_position_embeddings": 64}
_OFFSET = {"max_position_embeddings": 64, "type_vocab_size": 1}
_DEBERTA = {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 4}

CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    "bert": ("bert", _ENCODER),
    "distilbert": ("distilbert", {"dim": H, "hidden_dim": 32, "n_layers": 2, "n_heads": 2}),
    "roberta": ("roberta", _ENCODER | _OFFSET),
    "xlm-roberta": ("xlm-roberta", _ENCODER | _OFFSET),
    "deberta-v2": ("deberta-v2", _ENCODER | {"position_biased_input": True}),
    "deberta-v3": ("deberta-v2", _ENCODER | _DEBERTA | {"position_biased_input": False, "legacy": False}),
    "electra": ("electra", _ENCODER | {"embedding_size": 8}),
    "albert": ("albert", _ENCODER | {"embedding_size": 8}),
    "mpnet": ("mpnet", _ENCODER | {"max_position_embeddings": 64}),
    "modernbert": ("modernbert", _ENCODER | {"max_position_embeddings": 64, "cls_token_id": 2, "sep_token_id": 3}),
    "gpt2": ("gpt2", {"n_embd": H, "n_layer": 2, "n_head": 2, "n_positions": 64}),
    "llama": ("llama", _DECODER),
    "qwen2": ("qwen2", _DECODER),
    "qwen3": ("qwen3", _DECODER),
    "t5": ("t5", _T5),
    "t5-v1.1": ("t5", _T5 | {"tie_word_embeddings": False, "feed_forward_proj": "gated-gelu"}),
    "mt5": ("mt5", _T5),
    "bart": ("bart", _BART),
    "bart-scaled": ("bart", _BART | {"scale_embedding": True}),
    "marian": ("marian", _BART | {"scale_embedding": True, "decoder_vocab_size": V}),
    "marian-unshared": ("marian", _BART | {"decoder_vocab_size": V, "share_encoder_decoder_embeddings": False}),
}


@dataclass(frozen=True)
class Specimen:
    """One class of models with one configuration.

    Attributes:
        backbone: A name in `CONFIGS`.
        kind: The class in transformers.
        options: Changes to the configuration.
        tied: Whether an output layer scores with the token table.
        untie: Give the output layer weights of its own, whatever the configuration says.
    """

    backbone: str
    kind: str
    tied: bool = False
    options: dict[str, Any] = field(default_factory=dict)
    untie: bool = False

    def __str__(self) -> str:
        words = [*(f"{name}={value}" for name, value in self.options.items()), *(["untied"] if self.untie else [])]
        return "-".join([self.backbone, self.kind, *words])

    @property
    def generates(self) -> bool:
        """Whether it writes text."""
        return self.kind.endswith(("CausalLM", "LMHeadModel", "ForConditionalGeneration", "MTModel"))

    def build(self, dtype: torch.dtype = torch.float32, **changes: Any) -> PreTrainedModel:
        """The model in evaluation mode, always with the same weights."""
        model_type, options = CONFIGS[self.backbone]
        special = {"pad_token_id": PADDING, "bos_token_id": 2, "eos_token_id": 3, "decoder_start_token_id": PADDING}
        config = AutoConfig.for_model(model_type, **({"vocab_size": V} | special | options | self.options | changes))
        # All weights are drawn far wider than for training, so that no output hides a wrong embedding.
        config.initializer_range = 0.3
        with torch.random.fork_rng(), warnings.catch_warnings():
            torch.manual_seed(0)
            model = getattr(transformers, self.kind)._from_config(config, dtype=dtype)
            if self.untie:
                head = model.get_output_embeddings()
                head.weight = torch.nn.Parameter(torch.randn_like(head.weight))
        return model.eval()


def _encoder(backbone: str, prefix: str, *more: str) -> list[Specimen]:
    kinds = ("Model", "ForSequenceClassification", "ForMaskedLM", *more)
    return [Specimen(backbone, prefix + kind, tied=kind in ("ForMaskedLM", "ForPreTraining")) for kind in kinds]


def _decoder(backbone: str, prefix: str, head: str = "ForCausalLM") -> list[Specimen]:
    heads = [Specimen(backbone, prefix + head, tied, {"tie_word_embeddings": tied}) for tied in (True, False)]
    return [*heads, Specimen(backbone, f"{prefix}ForSequenceClassification")]


ENCODERS = [
    *_encoder("bert", "Bert", "ForPreTraining"),
    *_encoder("distilbert", "DistilBert"),
    *_encoder("roberta", "Roberta"),
    *_encoder("xlm-roberta", "XLMRoberta"),
    *_encoder("deberta-v2", "DebertaV2"),
    *_encoder("deberta-v3", "DebertaV2"),
    Specimen("deberta-v2", "DebertaV2Model", options={"embedding_size": 8}),
    *_encoder("electra", "Electra"),
    *_encoder("albert", "Albert", "ForPreTraining"),
    *_encoder("mpnet", "MPNet"),
    *_encoder("modernbert", "ModernBert"),
]
DECODERS = [
    *_decoder("gpt2", "GPT2", "LMHeadModel"),
    *_decoder("llama", "Llama"),
    *_decoder("qwen2", "Qwen2"),
    *_decoder("qwen3", "Qwen3"),
]
SEQ2SEQ = [
    Specimen("t5", "T5ForConditionalGeneration", tied=True),
    Specimen("t5", "T5EncoderModel"),
    Specimen("t5", "T5ForSequenceClassification"),
    Specimen("t5-v1.1", "T5ForConditionalGeneration", tied=True),
    Specimen("t5-v1.1", "T5ForConditionalGeneration", untie=True),
    Specimen("mt5", "MT5ForConditionalGeneration", tied=True),
    Specimen("bart", "BartForConditionalGeneration", tied=True),
    Specimen("bart-scaled", "BartForConditionalGeneration", tied=True),
    Specimen("bart-scaled", "BartModel"),
    Specimen("bart-scaled", "BartForSequenceClassification"),
    Specimen("bart-scaled", "BartForCausalLM", tied=True),
    Specimen("marian", "MarianMTModel", tied=True),
    Specimen("marian-unshared", "MarianMTModel"),
]
SPECIMENS = [*ENCODERS, *DECODERS, *SEQ2SEQ]


def output(model: PreTrainedModel, training: bool = False) -> torch.Tensor:
    """Scores, or hidden states of a model without a head, for three fixed rows, one of them padded."""
    with torch.set_grad_enabled(training):
        found = model(input_ids=IDS, attention_mask=(IDS != PADDING).long(), **decoder_inputs(model))
        return found[0].to(torch.promote_types(found[0].dtype, torch.float32))


def decoder_inputs(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """What a model with encoder and decoder needs besides."""
    both = model.config.is_encoder_decoder and not type(model).__name__.endswith("EncoderModel")
    return {"decoder_input_ids": IDS.flip(0)} if both and "Classification" not in type(model).__name__ else {}


def loss(model: PreTrainedModel) -> torch.Tensor:
    """A number that depends on every score, each in a way of its own."""
    scores = output(model, training=True)
    return (scores * torch.arange(scores.numel(), dtype=scores.dtype).sin().reshape(scores.shape)).mean()
