"""The interface of every module that stands in for a token-embedding table."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from itertools import chain
from typing import Any, ClassVar

import torch
from torch import nn

from embfact.embeddings.layout import Storage
from embfact.embeddings.rows import Rows

BLOCK_TOKENS = 8192


class TokenEmbedding(nn.Module, ABC):
    """A smaller module with the lookup of a V x H `torch.nn.Embedding`.

    Its tables and factors are `Rows`; what else it holds is small or no weight. Some models multiply the vectors they
    look up (BART): calling the module does that too, while its table, and so `logits` and `dense`, stay unscaled.

    Attributes:
        num_embeddings: Vocabulary size V.
        embedding_dim: Width H of the vectors it gives.
        padding_idx: Id whose vector receives no gradient, or None.
        scale: Factor on the vectors that a call gives.
    """

    num_embeddings: int
    embedding_dim: int
    padding_idx: int | None
    scale: float = 1.0
    projection_parts: ClassVar[tuple[str, ...]] = ()
    """Names of its parts that map to the width H and belong to all tokens alike; empty if there are none."""

    def __call__(self, ids: torch.Tensor) -> torch.Tensor:
        """Vectors ``(..., H)`` of the token ids ``(...)``, times ``scale``.

        Raises:
            IndexError: If an id is not one of the V tokens (on the CPU, where looking costs next to nothing).
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

    @abstractmethod
    def spec(self) -> dict[str, Any]:
        """Constructor arguments (JSON values) that build an empty module of this shape, to load saved weights into."""

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Scores of all tokens, ``hidden`` times the transposed table: what an output layer tied to it computes.

        The table is built some tokens at a time; modules with a closed form never build it.

        Args:
            hidden: Hidden states, shape ``(..., H)``.

        Returns:
            Scores, shape ``(..., V)``.
        """
        return torch.cat([hidden @ self.forward(ids).T for ids in self._blocks()], dim=-1)

    @torch.no_grad()
    def dense(self) -> torch.Tensor:
        """The whole V x H table that this module stands for, shape ``(V, H)``."""
        return torch.cat([self.forward(ids) for ids in self._blocks()])

    def tables(self) -> list[Rows]:
        """Its tables and factors."""
        return [module for module in self.modules() if isinstance(module, Rows)]

    def projection_parameters(self) -> list[nn.Parameter]:
        """Weights of its `projection_parts`."""
        parts = tuple(f"{part}." for part in self.projection_parts)
        return [weight for name, weight in self.named_parameters() if f"{name}.".startswith(parts)]

    def store_tables(self, storage: Storage) -> None:
        """Keep its tables in another way from now on; see `Rows.store`.

        Raises:
            ValueError: If one of them cannot be kept so; all are then as they were.
        """
        for rows in self.tables():
            rows.check(storage)
        for rows in self.tables():
            rows.store(storage)

    def allocate_tables(self, storage: Storage) -> None:
        """Have its tables stored, all zero, to load saved ones into."""
        for rows in self.tables():
            rows.allocate(storage)

    def imitate_storage(self, storage: Storage | None) -> None:
        """Train as if the tables were stored so already (quantization-aware training); None ends it."""
        for rows in self.tables():
            rows.aware = storage

    def extra_repr(self) -> str:
        """What `print(model)` says about this module."""
        return ", ".join(f"{name}={value}" for name, value in self.spec().items())

    def _blocks(self) -> Iterator[torch.Tensor]:
        device = next(chain(self.parameters(), self.buffers())).device
        for start in range(0, self.num_embeddings, BLOCK_TOKENS):
            yield torch.arange(start, min(start + BLOCK_TOKENS, self.num_embeddings), device=device)
