"""Factors fitted to the table by gradient descent, for the direction of its rows."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import nn
from torch.nn import functional

from embfact.embeddings.base import BLOCK_TOKENS
from embfact.embeddings.decoder import DecoderEmbedding
from embfact.embeddings.layout import Part
from embfact.embeddings.low_rank import LowRankEmbedding
from embfact.factorization.base import Evidence, Factorization
from embfact.factorization.decomposition import principal_axes, truncate

if TYPE_CHECKING:
    from embfact.embeddings.base import TokenEmbedding


log = logging.getLogger(__name__)


class Distilled(Factorization):
    """min over the rows x_v of the mean of (1 - cos(x_v, W_v)) + λ |x_v - W_v|_1, before any fine-tuning.

    The loss is that of Balazy et al. (2021), "Direction is What You Need", the L1 term here in units of the table's own
    mean. The rows are A B, or come from a small network as in Lioutas et al. (2020), "Improving Word Embedding
    Factorization for Compression Using Distilled Nonlinear Neural Decomposition": A B + tanh(A P + c) Q.

    It starts from the SVD of the table and never ends with a larger loss. All rows count alike.
    """

    name: ClassVar[str] = "distilled"

    decoder: Literal["nonlinear", "linear"] = Field(
        default="nonlinear",
        description="how a row comes from its r numbers: by a hidden layer beside the linear map, or not",
    )
    hidden_units: int | None = Field(
        default=None,
        ge=1,
        description="width of the hidden layer of the non-linear decoder; null: half of H, rounded up",
    )
    l1_weight: float = Field(
        default=1.0,
        ge=0,
        allow_inf_nan=False,
        description="λ; the L1 term is in units of the table's mean absolute number",
    )
    steps: int = Field(default=600, ge=1, description="steps of Adam, the learning rate falling to zero in a line")
    lr: float = Field(
        default=0.03, gt=0, allow_inf_nan=False, description="learning rate as a share of the size of what is learned"
    )
    batch_rows: int = Field(default=2048, ge=1, description="rows of the table in a step, each once in a round")

    @model_validator(mode="after")
    def _only_what_is_used(self) -> Distilled:
        if self.decoder == "linear" and self.hidden_units is not None:
            raise ValueError(
                f"hidden_units belongs to the non-linear decoder (found {self.hidden_units} with decoder=linear); "
                "set decoder=nonlinear or leave hidden_units null"
            )
        return self

    def layout(self, vocab_size: int, hidden_size: int, rank: int) -> tuple[Part, ...]:
        """Two factors, r (V + H) parameters; the non-linear decoder has u (r + 1 + H) more for u hidden units."""
        factors = Part(vocab_size, rank), Part(rank, hidden_size)
        if not (units := self._units(hidden_size)):
            return factors
        return *factors, Part(rank, units), Part(1, units, "plain"), Part(units, hidden_size)

    def fit(
        self,
        table: torch.Tensor,
        rank: int | None,
        *,
        evidence: Evidence | None = None,
        padding_idx: int | None = None,
        seed: int = 0,
    ) -> TokenEmbedding:
        """Descend from the SVD; see `Factorization.fit`. The order of the rows and P are drawn by the seed."""
        import torch

        from embfact.factorization.decomposition import check_table

        vocab_size, hidden_size = check_table(table)
        self.check_size(vocab_size, hidden_size, rank, allow_larger=True)
        exact = table.detach().to("cpu", torch.promote_types(table.dtype, torch.float32))
        module = starting_point(exact, int(rank or 0), self._units(hidden_size), seed)
        options = self.model_dump(include={"steps", "lr", "batch_rows", "l1_weight"})
        distill(module, exact, **options, seed=seed)
        # Only now: the padding row is fitted like any other, and then trained no more.
        if padding_idx is not None:
            module.factors.padding_idx = module.padding_idx = padding_idx % vocab_size
        return module.to(table)

    def _units(self, hidden_size: int) -> int:
        return 0 if self.decoder == "linear" else self.hidden_units or -(-hidden_size // 2)


def starting_point(table: torch.Tensor, rank: int, hidden_units: int, seed: int) -> LowRankEmbedding | DecoderEmbedding:
    """The truncated SVD of a table, with a hidden layer beside it that adds nothing yet.

    Args:
        table: W, shape ``(V, H)``, in the dtype to descend in.
        rank: r.
        hidden_units: Width of the hidden layer; 0 for none.
        seed: Of the weights into the hidden layer: normal numbers that give its units a variance of one.
    """
    shared = truncate(table, principal_axes(table), rank)
    if not hidden_units:
        return shared
    module = DecoderEmbedding(0, table.shape[1], rank, hidden_units).to(table.dtype)
    module.num_embeddings, module.factors, module.projection = len(table), shared.factors, shared.projection
    draw = torch.Generator().manual_seed(seed)
    inner = torch.randn(rank, hidden_units, generator=draw, dtype=table.dtype)
    module.inner.weight.data = inner / (rank**0.5 * (_size(shared.factors.weight) or 1))
    return module


def distill(
    module: LowRankEmbedding | DecoderEmbedding,
    table: torch.Tensor,
    *,
    steps: int,
    lr: float,
    batch_rows: int,
    l1_weight: float,
    seed: int,
) -> None:
    """Bring the rows of a module nearer to those of a table, in place.

    Every weight is learned at a rate in proportion to the size of the weights of its tensor, so the result does not
    depend on the unit of the table. If the loss over all rows is not lower in the end, the module is as before.

    Args:
        module: What `starting_point` gave.
        table: W, shape ``(V, H)``, of the module's dtype.
        steps: Steps of Adam; the learning rate falls to zero in a line.
        lr: Learning rate at the start, as a share of the size of what is learned.
        batch_rows: Rows of a step.
        l1_weight: Weight of the L1 term.
        seed: Of the order of the rows.
    """
    unit = table.abs().mean().item() or 1.0
    before, start = _total(module, table, unit, l1_weight), {name: w.clone() for name, w in module.state_dict().items()}
    with torch.enable_grad():
        optimizer = torch.optim.Adam(_groups(module, table, lr), fused=True)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)
        for _, rows in zip(range(steps), _batches(len(table), batch_rows, seed), strict=False):
            loss = row_losses(module(rows), table[rows], unit, l1_weight).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    module.zero_grad()
    after = _total(module, table, unit, l1_weight)
    log.info("distilled in %d steps: loss %.4f to %.4f", steps, before, after)
    if not after < before:
        module.load_state_dict(start)
        log.warning("no step at lr=%g lowered the loss of %.4g (found %.4g): svd's factors are kept", lr, before, after)


def row_losses(vectors: torch.Tensor, rows: torch.Tensor, unit: float, l1_weight: float) -> torch.Tensor:
    """1 - cos(x, w) + λ mean |x - w| / unit, after Balazy et al. (2021).

    Args:
        vectors: x, shape ``(N, H)``.
        rows: w, shape ``(N, H)``; a row of zeros has no direction, and a cosine of 0.
        unit: What the L1 term is measured in.
        l1_weight: λ.

    Returns:
        A loss for each row, shape ``(N,)``.
    """
    direction = 1 - functional.cosine_similarity(vectors, rows, dim=1)
    return direction + l1_weight / unit * (vectors - rows).abs().mean(dim=1)


def _groups(module: nn.Module, table: torch.Tensor, lr: float) -> list[dict[str, object]]:
    """Weights with their learning rates; what is zero to begin with is measured by the table, the bias by one."""
    sizes = {
        name: 1.0 if name == "bias" else _size(weight) or _size(table) for name, weight in module.named_parameters()
    }
    return [{"params": [weight], "lr": lr * (sizes[name] or 1)} for name, weight in module.named_parameters()]


def _batches(count: int, size: int, seed: int) -> Iterator[torch.Tensor]:
    """Batches of row numbers without end, every row once in a round."""
    draw = torch.Generator().manual_seed(seed)
    while True:
        yield from torch.randperm(count, generator=draw).split(size)


@torch.no_grad()
def _total(module: LowRankEmbedding | DecoderEmbedding, table: torch.Tensor, unit: float, l1_weight: float) -> float:
    blocks = torch.arange(len(table)).split(BLOCK_TOKENS)
    losses = [row_losses(module(rows), table[rows], unit, l1_weight).double() for rows in blocks]
    return torch.cat(losses).mean().item()


def _size(weight: torch.Tensor) -> float:
    """Root mean square."""
    return weight.detach().square().mean().sqrt().item()
