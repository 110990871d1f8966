"""Factors fitted to the direction of the table's rows by gradient descent."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, model_validator

from embfact.embeddings.layout import Part
from embfact.factorization.base import Evidence, Factorization

if TYPE_CHECKING:
    import torch

    from embfact.embeddings.base import TokenEmbedding
    from embfact.embeddings.decoder import DecoderEmbedding
    from embfact.embeddings.low_rank import LowRankEmbedding

log = logging.getLogger(__name__)


class Distilled(Factorization):
    """min over the rows x_v of the mean of (1 - cos(x_v, W_v)) + λ |x_v - W_v|_1, before any fine-tuning.

    The loss is that of Balazy et al. (2021), "Direction is What You Need", with the L1 term in units of the table's own
    mean. The rows are A B, or come from a small network as in Lioutas et al. (2020), "Improving Word Embedding
    Factorization for Compression Using Distilled Nonlinear Neural Decomposition": A B + tanh(A P + c) Q.

    Descent starts from the SVD of the table and never ends with a larger loss. All rows count equally.
    """

    name: ClassVar[str] = "distilled"

    decoder: Literal["nonlinear", "linear"] = Field(
        default="nonlinear",
        description="how a row is computed from its r numbers: with a hidden layer beside the linear map, or without",
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
    steps: int = Field(default=600, ge=1, description="steps of Adam; the learning rate falls linearly to zero")
    lr: float = Field(
        default=0.03, gt=0, allow_inf_nan=False, description="learning rate, relative to the size of the weights"
    )
    batch_rows: int = Field(default=2048, ge=1, description="rows of the table per step, each once per epoch")

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

    def _fit(
        self, table: torch.Tensor, rank: int, evidence: Evidence | None, padding_idx: int | None, seed: int
    ) -> TokenEmbedding:
        """Descend from the SVD; the seed draws the order of the rows and P."""
        import torch

        exact = table.detach().to("cpu", torch.promote_types(table.dtype, torch.float32))
        module = starting_point(exact, rank, self._units(table.shape[1]), seed)
        options = self.model_dump(include={"steps", "lr", "batch_rows", "l1_weight"})
        distill(module, exact, **options, seed=seed)
        # Only now: the padding row is fitted like any other, but not trained afterwards.
        if padding_idx is not None:
            module.factors.padding_idx = module.padding_idx = padding_idx % len(table)
        return module.to(table)

    def _units(self, hidden_size: int) -> int:
        return 0 if self.decoder == "linear" else self.hidden_units or -(-hidden_size // 2)


def starting_point(table: torch.Tensor, rank: int, hidden_units: int, seed: int) -> LowRankEmbedding | DecoderEmbedding:
    """The truncated SVD of W ``(V, H)``, with a hidden layer beside it (if it has units) that adds nothing yet.

    The seed draws the weights into the hidden layer, normal numbers that give its units a variance of one.
    """
    import torch

    from embfact.embeddings.decoder import DecoderEmbedding
    from embfact.factorization.decomposition import principal_axes, truncate

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

    The learning rate of each tensor is proportional to the size of its weights, so the result does not depend on the
    unit of the table. If the loss over all rows is not lower in the end, the module is left as it was.

    Args:
        module: What `starting_point` returned.
        table: W, shape ``(V, H)``, of the module's dtype.
        steps: Steps of Adam; the learning rate falls linearly to zero.
        lr: Learning rate at the start, relative to the size of the weights.
        batch_rows: Rows per step.
        l1_weight: Weight of the L1 term.
        seed: Seed of the order of the rows.
    """
    import torch

    from embfact.embeddings.base import BLOCK_TOKENS

    unit, draw = table.abs().mean().item() or 1.0, torch.Generator().manual_seed(seed)

    @torch.no_grad()
    def total() -> float:
        blocks = torch.arange(len(table)).split(BLOCK_TOKENS)
        losses = [row_losses(module(rows), table[rows], unit, l1_weight).double() for rows in blocks]
        return torch.cat(losses).mean().item()

    def batches() -> Iterator[torch.Tensor]:
        while True:
            yield from torch.randperm(len(table), generator=draw).split(batch_rows)

    # Weights that start at zero count as large as the table's, the bias as one.
    sizes = {
        name: 1.0 if name == "bias" else _size(weight) or _size(table) or 1.0
        for name, weight in module.named_parameters()
    }
    groups = [{"params": [weight], "lr": lr * sizes[name]} for name, weight in module.named_parameters()]
    before, start = total(), {name: w.clone() for name, w in module.state_dict().items()}
    with torch.enable_grad():
        optimizer = torch.optim.Adam(groups, fused=True)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)
        for _, rows in zip(range(steps), batches(), strict=False):
            loss = row_losses(module(rows), table[rows], unit, l1_weight).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    module.zero_grad()
    after = total()
    log.info("distilled in %d steps: loss %.4f to %.4f", steps, before, after)
    if not after < before:
        module.load_state_dict(start)
        log.warning("lr=%g did not lower the loss of %.4g (found %.4g); the factors of svd are kept", lr, before, after)


def row_losses(vectors: torch.Tensor, rows: torch.Tensor, unit: float, l1_weight: float) -> torch.Tensor:
    """1 - cos(x, w) + λ mean |x - w| / unit for the vectors x and rows w, ``(N, H)``, after Balazy et al. (2021).

    A row of zeros has no direction, and a cosine of 0. The result has shape ``(N,)``.
    """
    from torch.nn import functional

    direction = 1 - functional.cosine_similarity(vectors, rows, dim=1)
    return direction + l1_weight / unit * (vectors - rows).abs().mean(dim=1)


def _size(weight: torch.Tensor) -> float:
    """Root mean square."""
    return weight.detach().square().mean().sqrt().item()
