"""The nearest table of rank r from the eigenvectors of WᵀW: `svd` under its other classical name."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from embfact.factorization.spectral import Spectral

if TYPE_CHECKING:
    from embfact.factorization.spectrum import Route


class EVD(Spectral):
    """B holds the eigenvectors of WᵀW with the r largest eigenvalues, and A = W Bᵀ.

    The eigenvectors of WᵀW are the right singular vectors of W, and its eigenvalues their squared singular values, so
    this is the optimum of Eckart and Young (1936), bit for bit what `svd` gives with ``route=gram``.
    """

    name: ClassVar[str] = "evd"

    def _route(self) -> Route:
        return "gram"
