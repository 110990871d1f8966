"""Truncated SVD of the table: the nearest table of rank r (Eckart and Young, 1936)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from embfact.factorization.spectral import Spectral

if TYPE_CHECKING:
    from embfact.factorization.spectrum import Route


class SVD(Spectral):
    """min |W - A B|² over all A (V x r) and B (r x H): B holds the top right singular vectors of W, and A = W Bᵀ."""

    name: ClassVar[str] = "svd"

    route: Literal["auto", "gram", "qr", "randomized"] = Field(
        default="auto",
        description="auto: gram, or qr for a badly conditioned float64 table; gram: eigenvectors of WᵀW; qr: SVD of "
        "the R of W; randomized: error within 0.1 % of the optimum, for small ranks of large tables",
    )

    def _route(self) -> Route:
        return self.route
