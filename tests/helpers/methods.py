"""Every method of the package, as the catalogue lists it, with options for small tables."""

from __future__ import annotations

from typing import Any

from embfact.factorization.base import Factorization, Method, TokenizerMethod
from embfact.factorization.product_quantization import ProductQuantization
from embfact.factorization.registry import methods

# What the defaults ask of a table of tens of rows, or more steps than show that a descent works.
SMALL: dict[str, dict[str, Any]] = {
    "distilled": {"steps": 20},
    "group_svd": {"groups": 3},
    "hashed": {"hashes": 3},
    "product_quantization": {"centroids": 8},
    "residual_quantization": {"centroids": 8, "parts": 3, "stages": 4},
    "projective_clustering": {"subspaces": 3},
    "transform_coding": {"tiers": 3},
}
METHODS: dict[str, Method] = {name: kind(**SMALL.get(name, {})) for name, kind in methods().items()}
# Those that a model alone can be compressed with: others change its tokenizer too.
MODEL_METHODS = {name: method for name, method in METHODS.items() if not isinstance(method, TokenizerMethod)}
# Those that replace the table alone; ways of one method that differ in what they leave are listed too.
TABLE_METHODS: dict[str, Factorization] = {
    name: method for name, method in METHODS.items() if isinstance(method, Factorization)
} | {"product_quantization-codes": ProductQuantization(centroids=8, fine_tuning="straight_through")}
# Their shapes depend on the data: the formula is the most that they take.
AT_MOST = {"group_svd", "transform_coding"}
