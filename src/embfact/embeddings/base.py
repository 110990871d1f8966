"""The interface of every module that replaces a token-embedding table."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Iterator
from itertools import chain
from typing import Any, ClassVar

import torch
from torch import nn

from embfact.embeddings.layout import Storage
from embfact.embeddings.rows import Rows, row_number

BLOCK_TOKENS = 8192


class TokenEmbedding(nn.Module, ABC):
    """A smaller module with the lookup of a V x H `torch.nn.Embedding`.

    Its tables and factors are `Rows`; anything else in it is small or not a weight. Some models scale the vectors they
    look up (BART): a call of the module scales them too, but its table, and so `logits` and `dense`, are unscaled.

    Args:
        num_embeddings: Vocabulary size V.
        embedding_dim: Width H of the vectors.
        padding_idx: Id whose vector receives no gradient, or None; negative counts from the end.

    Attributes:
        scale: Factor on the vectors that a call returns.
    """

    scale: float = 1.0
    projection_parts: ClassVar[tuple[str, ...]] = ()
    """Names of the parts that map to the width H and belong to all tokens."""

    def __init__(self, num_embeddings: int = 0, embedding_dim: int = 0, padding_idx: int | None = None):
        super().__init__()
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.padding_idx = row_number(padding_idx, num_embeddings)

    def __call__(self, ids: torch.Tensor) -> torch.Tensor:
        """Vectors ``(..., H)`` of the token ids ``(...)``, times ``scale``.

        Raises:
            IndexError: If an id is not one of the V tokens (on the CPU, where the check costs next to nothing).
        """
        if ids.device.type == "cpu" and ids.numel() and not torch.compiler.is_compiling():
            least, most = (int(extreme) for extreme in torch.aminmax(ids))
            if least < 0 or most >= self.num_embeddings:
                raise IndexError(f"token ids must be 0 to {self.num_embeddings - 1} (found {least} to {most})")
        vectors = super().__call__(ids)
        return vectors if self.scale == 1 else vectors * self.scale

    @abstractmethod
    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Rows ``(..., H)`` of the table for the token ids ``(...)``."""

    def spec(self) -> dict[str, Any]:
        """Constructor arguments (JSON values) of an empty module of this shape: the attributes of the same names."""
        values = {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Scores of all tokens, ``hidden`` times the transposed table, as an output layer tied to it computes them.

        The table is built a block of tokens at a time; modules with a closed form never build it.

        Args:
            hidden: Hidden states, shape ``(..., H)``.

        Returns:
            Scores, shape ``(..., V)``.
        """
        return torch.cat([hidden @ self.forward(ids).T for ids in self._blocks()], dim=-1)

    @torch.no_grad()
    def dense(self) -> torch.Tensor:
        """The whole table that this module represents, shape ``(V, H)``."""
        return torch.cat([self.forward(ids) for ids in self._blocks()])

    def tables(self) -> list[Rows]:
        """Its tables and factors."""
        return [module for module in self.modules() if isinstance(module, Rows)]

    def projection_parameters(self) -> list[nn.Parameter]:
        """Weights of its `projection_parts`."""
        parts = tuple(f"{part}." for part in self.projection_parts)
        return [weight for name, weight in self.named_parameters() if f"{name}.".startswith(parts)]

    def store_tables(self, storage: Storage) -> None:
        """Store its tables in another way from now on; see `Rows.store`.

        Raises:
            ValueError: If one of them cannot be stored so; all are then unchanged.
        """
        for rows in self.tables():
            rows.check(storage)
        for rows in self.tables():
            rows.store(storage)

    def allocate_tables(self, storage: Storage) -> None:
        """Prepare its tables, all zero, for loading stored ones."""
        for rows in self.tables():
            rows.allocate(storage)

    def imitate_storage(self, storage: Storage | None) -> None:
        """Train as if the tables were already stored so (quantization-aware training); None ends it."""
        for rows in self.tables():
            rows.aware = storage

    def extra_repr(self) -> str:
        """What `print(model)` says about this module."""
        return ", ".join(f"{name}={value}" for name, value in self.spec().items())

    def _without_padding_gradient(self, vectors: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        """The vectors ``(..., H)`` of ids ``(...)``, through which the padding id sends no gradient."""
        if self.padding_idx is None:
            return vectors
        return torch.where((ids == self.padding_idx).unsqueeze(-1), vectors.detach(), vectors)

    def _blocks(self) -> Iterator[torch.Tensor]:
        device = next(chain(self.parameters(), self.buffers())).device
        for start in range(0, self.num_embeddings, BLOCK_TOKENS):
            yield torch.arange(start, min(start + BLOCK_TOKENS, self.num_embeddings), device=device)
