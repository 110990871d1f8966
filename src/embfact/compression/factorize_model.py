"""A pretrained model of whatever architecture it has, to be factorized without training it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers
from torch import nn
from transformers import AutoConfig, AutoModel, PreTrainedModel, PreTrainedTokenizerBase

from embfact.config.sections import ModelConfig
from embfact.embeddings.base import TokenEmbedding
from embfact.errors import ModelError
from embfact.factorization.decomposition import check_table
from embfact.models.backbones import TOKENIZER, hub_commit, origin_of, refuse_compressed, resolve
from embfact.models.loading import load_tokenizer, quiet
from embfact.models.table import dense_table
from embfact.models.token_ids import check_ids


def load_dense(model: ModelConfig) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A model of the class that its config.json names, in evaluation mode and its own dtype, and its tokenizer.

    Weights come from safetensors files only, and no code of a checkpoint is run.

    Args:
        model: The model; one with pretrained weights.

    Raises:
        ModelError: If it cannot be loaded, or a part of it is missing.
    """
    origin = _pinned(origin_of(model), model.revision)
    words = resolve(model.tokenizer, TOKENIZER) if model.tokenizer else None
    try:
        with quiet():
            tokenizer = load_tokenizer(**(_pinned(words, None) if words else origin))
            config = AutoConfig.from_pretrained(**origin)
            refuse_compressed(config.to_dict(), f"model {model.label}")
            names = config.architectures or []
            kind = getattr(transformers, names[0], AutoModel) if names else AutoModel
            loaded, report = kind.from_pretrained(
                **origin, dtype="auto", use_safetensors=True, output_loading_info=True
            )
    except ModelError:
        raise
    except Exception as error:  # transformers, tokenizers, safetensors and the hub each have kinds of their own
        reason = " ".join(str(error).split())[:300]
        raise ModelError(
            f"model {model.label} cannot be loaded ({type(error).__name__}: {reason}); set model.name_or_path to a "
            "directory with config.json, model.safetensors and tokenizer files"
        ) from error
    # A pooler is absent from checkpoints of models that were pretrained without one.
    if missing := sorted(name for name in report["missing_keys"] if "pooler" not in name):
        raise ModelError(
            f"the checkpoint of model {model.label} lacks {len(missing)} weights of a {type(loaded).__name__} (first: "
            f"{missing[0]}); its config.json belongs to another model"
        )
    return loaded.eval(), tokenizer


def table_of(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> nn.Embedding:
    """The token embedding of a model, if its table can be factorized.

    Raises:
        ModelError: If there is none, its numbers are not finite, or the tokenizer has an id beyond its rows.
    """
    table, kind = dense_table(model), model.config.model_type
    try:
        check_table(table.weight)
    except ValueError as error:
        raise ModelError(f"the token embedding of this {kind}: {error}") from error
    check_ids(tokenizer, model, f"this {kind}")
    return table


def _pinned(origin: Path | str | None, revision: str | None) -> dict[str, Any]:
    """Arguments of ``from_pretrained`` that pin where something is read from."""
    commit = {"revision": hub_commit(origin, revision)} if isinstance(origin, str) else {}
    return {"pretrained_model_name_or_path": str(origin), "trust_remote_code": False, **commit}


def squared_errors(
    table: torch.Tensor, embedding: TokenEmbedding, weights: torch.Tensor, block: int = 8192
) -> tuple[float | None, float | None]:
    """What an embedding leaves of a table: Σ w_v |W_v - Ŵ_v|² / Σ w_v |W_v|², with w = 1 and with the weights.

    Args:
        table: W, shape ``(V, H)``.
        embedding: The module that stands for Ŵ, in whatever precision it is kept.
        weights: w, shape ``(V,)``, float64.
        block: Rows at once; all sums are in float64.

    Returns:
        The plain and the weighted error; None where the denominator is zero.
    """
    sums = torch.zeros(2, 2, dtype=torch.float64)  # plain, weighted: lost, whole
    with torch.no_grad():
        for ids in torch.arange(len(table), device=table.device).split(block):
            exact = table[ids].double()
            lost = (embedding.forward(ids).double() - exact).square().sum(dim=1).cpu()
            whole, own = exact.square().sum(dim=1).cpu(), weights[ids.cpu()]
            sums += torch.stack([torch.stack([lost.sum(), whole.sum()]), torch.stack([own @ lost, own @ whole])])
    plain, weighted = (float(lost / whole) if whole > 0 else None for lost, whole in sums)
    return plain, weighted
