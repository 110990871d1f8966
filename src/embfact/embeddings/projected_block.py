"""The embedding block of a BERT-like model at a smaller size, with a projection to the width of the encoder."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import nn

PARTS = ("word_embeddings", "position_embeddings", "LayerNorm")


class ProjectedBlock(nn.Module):
    """An embedding block rebuilt at size E, then a Linear E -> H with bias.

    The block's own forward is kept, so position ids, segment ids and dropout are handled as the architecture does; only
    its tables and its LayerNorm are new. Its parts are reached as before, e.g. ``word_embeddings``.

    Tables and the projection are drawn from N(0, std²) with padding rows and the bias at zero; the LayerNorm starts at
    weight one and bias zero (Lan et al., 2020).

    Args:
        block: A block that `find_block` accepts; it is changed.
        embedding_size: The smaller size E.
        std: Standard deviation of the new weights.
        seed: Seed of the new weights.
    """

    def __init__(self, block: nn.Module, embedding_size: int, *, std: float = 0.02, seed: int = 0):
        super().__init__()
        draw = torch.Generator().manual_seed(seed)
        table = cast(nn.Embedding, block.word_embeddings)
        for name, part in list(block.named_children()):
            if isinstance(part, nn.Embedding):
                setattr(block, name, _drawn_table(part, embedding_size, std, draw))
            elif isinstance(part, nn.LayerNorm):
                setattr(block, name, nn.LayerNorm(embedding_size, eps=part.eps).to(table.weight))
        self.block = block
        self.projection = nn.utils.skip_init(nn.Linear, embedding_size, table.embedding_dim)
        nn.init.normal_(self.projection.weight, std=std, generator=draw)
        nn.init.zeros_(self.projection.bias)
        self.projection.to(table.weight)
        self.train(block.training)

    def forward(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Vectors ``(..., H)`` of what the architecture passes to its embedding block."""
        return self.projection(self.block(*args, **kwargs))

    def __getattr__(self, name: str) -> Any:
        """A part of the block, requested from this module, as `get_input_embeddings` does."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == "block":  # not built yet, as during copy.copy
                raise
            return getattr(self.block, name)

    def __setattr__(self, name: str, value: Any) -> None:
        """Replace a part of the block in place, as `set_input_embeddings` expects."""
        block = self.__dict__.get("_modules", {}).get("block")
        owner = block if block is not None and name in block._modules else super()
        owner.__setattr__(name, value)


def find_block(model: nn.Module, *, allow_factorized: bool = False) -> nn.Module:
    """The embedding block of a BERT-like model (BERT, RoBERTa, DistilBERT, MPNet, ELECTRA, ...).

    Args:
        model: A model with ``get_input_embeddings()`` and ``config``.
        allow_factorized: Accept a block that is already smaller than the width of the encoder (ALBERT, ELECTRA-small).

    Returns:
        The module that holds the token table, its position table and LayerNorm.

    Raises:
        ValueError: If there is no such block, or a part of it cannot be rebuilt at another size.
    """
    name = type(model).__name__
    table = cast(Any, model).get_input_embeddings()
    block = next((module for module in model.modules() if table in module._modules.values()), model)
    missing = [part for part in PARTS if block._modules.get(part) is None]
    if missing:
        raise ValueError(
            f"the embedding block of {name} has no {' and no '.join(missing)}, and only one with {', '.join(PARTS)} "
            "can be rebuilt at another size; use svd or random instead"
        )
    kinds = (nn.Embedding, nn.LayerNorm)
    others = [
        part for part, module in block.named_children() if type(module) not in kinds and list(module.parameters())
    ]
    if unknown := [*others, *block._parameters]:
        raise ValueError(
            f"the embedding block of {name} cannot be rebuilt at another size, since it also has {', '.join(unknown)}; "
            "use svd or random instead"
        )
    hidden_size = getattr(model.config, "hidden_size", table.embedding_dim)
    if table.embedding_dim != hidden_size and not allow_factorized:
        raise ValueError(
            f"the embedding of {name} is already factorized ({table.embedding_dim} columns for {hidden_size}); "
            "run it with factorization=none, or set factorization.refactorize_existing=true"
        )
    return block


def project_block(model: nn.Module, block: nn.Module, embedding_size: int, seed: int = 0) -> ProjectedBlock:
    """Replace a model's embedding block, which `find_block` found, by a `ProjectedBlock`, and return that.

    Its weights have the deviation ``model.config.initializer_range``.
    """
    path = next(name for name, module in model.named_modules() if module is block)
    parent, _, name = path.rpartition(".")
    std = getattr(model.config, "initializer_range", 0.02)
    projected = ProjectedBlock(block, embedding_size, std=std, seed=seed)
    setattr(model.get_submodule(parent), name, projected)
    return projected


def _drawn_table(part: nn.Embedding, embedding_size: int, std: float, draw: torch.Generator) -> nn.Embedding:
    weight = torch.empty(part.num_embeddings, embedding_size).normal_(std=std, generator=draw)
    if part.padding_idx is not None:
        weight[part.padding_idx] = 0
    return nn.Embedding.from_pretrained(weight.to(part.weight), freeze=False, padding_idx=part.padding_idx)
