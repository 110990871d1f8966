"""Factors fitted to the table by gradient descent, for the direction of its rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, model_validator

from embfact.embeddings.layout import Part
from embfact.factorization.base import Evidence, Factorization

if TYPE_CHECKING:
    import torch

    from embfact.embeddings.base import TokenEmbedding


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
        from embfact.factorization.distillation import distill, starting_point

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
