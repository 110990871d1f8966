"""Rows as sums of centroids, with more terms for the tokens that matter more."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from embfact.embeddings.layout import Part, sub_vectors
from embfact.factorization.base import Evidence, EvidenceKind, Factorization

if TYPE_CHECKING:
    import torch

    from embfact.embeddings.residual_quantized import ResidualQuantizedEmbedding


PART_WIDTH = 8  # columns of a part by default: a stage takes a byte for eight numbers


class ResidualQuantization(Factorization):
    """Every row is the mean row and a sum of n_v stages; a stage adds one of K centroids to each of m parts of a row.

    Residual vector quantization (Juang and Gray, 1982; Chen, Guan and Wang, 2010): the codebooks of a stage come from
    k-means over what the stages before it leave, here weighted by the token counts. With ``shared`` all parts of a
    stage use one codebook, so that many stages cost next to nothing.

    ``rank`` is the mean number of codes of a token. Stages go where they lower the weighted error most: n_v is large
    for frequent tokens and often zero for those that were never counted. The codes are then found again for this n_v
    with a beam search (Babenko and Lempitsky, 2014), and the centroids by least squares for these codes, in turns.
    """

    name: ClassVar[str] = "residual_quantization"
    size_name: ClassVar[str] = "codes per token"
    needs: ClassVar[frozenset[EvidenceKind]] = frozenset({"token_counts"})

    parts: int | None = Field(
        default=None, ge=1, description="m, parts of a row, each with a code in a stage; null: a part for 8 columns"
    )
    stages: int = Field(default=6, ge=1, le=255, description="S, most stages of a token")
    centroids: int = Field(default=256, ge=2, le=256, description="K, centroids of a codebook; a code takes a byte")
    shared: bool = Field(default=True, description="one codebook for all parts of a stage; false: one for each part")
    smoothing: float = Field(
        default=1.0,
        gt=0,
        allow_inf_nan=False,
        description="added to the count of every token; far above all counts: all rows weigh the same",
    )
    iterations: int = Field(default=10, ge=1, description="of k-means, for each codebook; fewer if nothing moves")
    beam: int = Field(default=8, ge=1, le=256, description="partial sums kept while codes are searched; 1: greedy")
    rounds: int = Field(default=2, ge=0, description="of refitting the centroids to the codes, and these to them")

    def layout(self, vocab_size: int, hidden_size: int, rank: int) -> tuple[Part, ...]:
        """The mean row, the codebooks, V r bytes of codes in whole stages, and a byte for each token's stages."""
        parts, centroids = self._parts(hidden_size), min(self.centroids, vocab_size)
        books = [
            Part(self.stages * (1 if self.shared else count) * centroids, width)
            for count, width in sub_vectors(hidden_size, parts)
        ]
        codes = Part(self._code_rows(vocab_size, hidden_size, rank), parts, "index", item_bytes=1)
        return Part(1, hidden_size), *books, codes, Part(vocab_size, 1, "index", item_bytes=1)

    def rank_limit(self, vocab_size: int, hidden_size: int) -> int:
        """Every stage for every token."""
        return self._parts(hidden_size) * self.stages

    def _parts(self, hidden_size: int) -> int:
        return -(-hidden_size // PART_WIDTH) if self.parts is None else self.parts

    def _code_rows(self, vocab_size: int, hidden_size: int, rank: int) -> int:
        """Stages of all tokens together."""
        return max(1, vocab_size * rank // self._parts(hidden_size))

    def _check_options(self, vocab_size: int, hidden_size: int) -> None:
        if self.parts is not None and self.parts > hidden_size:
            raise ValueError(f"parts must be at most {hidden_size}, the columns (found {self.parts}); use fewer")

    def _fit(
        self, table: torch.Tensor, rank: int, evidence: Evidence | None, padding_idx: int | None, seed: int
    ) -> ResidualQuantizedEmbedding:
        import torch

        from embfact.embeddings.residual_quantized import ResidualQuantizedEmbedding
        from embfact.factorization.residual_codes import fit_stages, share_out, stage_books
        from embfact.factorization.token_counts import checked_counts

        weights = checked_counts(evidence, len(table), self.name) + self.smoothing
        # Within the range of float32, in which k-means works for most tables.
        weights = (weights / weights.max()).clamp(min=1e-12)
        rows = table.detach().cpu()
        rows = rows if rows.dtype == torch.float64 else rows.float()
        mean = rows.mean(dim=0)
        widths = sub_vectors(rows.shape[1], self._parts(rows.shape[1]))
        # Vectors that share codebooks, shapes (V, c, width): the parts of one width, or a single part.
        kinds = (rows - mean).split([count * width for count, width in widths], dim=1)
        sets = [
            some
            for kind, (count, width) in zip(kinds, widths, strict=True)
            for some in kind.unflatten(1, (count, width)).split(count if self.shared else 1, dim=1)
        ]
        options = self.stages, min(self.centroids, len(table)), self.iterations
        first = [stage_books(some, weights, *options, seed + number) for number, some in enumerate(sets)]
        errors = weights.unsqueeze(1) * torch.stack([errors for _, errors in first]).sum(dim=0)
        lengths = share_out(errors, self._code_rows(len(rows), rows.shape[1], rank))
        found = [
            fit_stages(some, weights, lengths, books, self.beam, self.rounds)
            for some, (books, _) in zip(sets, first, strict=True)
        ]
        used = torch.arange(self.stages) < lengths.unsqueeze(1)
        codes = torch.cat([one.codes for one in found], dim=2)[used]
        books = iter([one.books.to(table) for one in found])
        groups = [1 if self.shared else count for count, _ in widths]
        stacked = [torch.stack([next(books) for _ in range(count)], dim=1) for count in groups]
        return ResidualQuantizedEmbedding.from_codebooks(lengths, codes, stacked, mean.to(table), padding_idx)
