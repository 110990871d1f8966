"""Which colour and marker a method has: the same in every plot, page and notebook, whatever else is drawn.

Light to import: the standard library only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

# The position decides the look (`embfact.results.plots.style`, the dashboard's scatter.js): append, never reorder.
# `none` is the dense table stored smaller; as it is, dense has a look of its own.
METHODS = (
    *("svd", "weighted_svd", "hybrid_svd", "group_svd", "random", "albert", "vocabulary_pruning"),
    *("fisher_svd", "kronecker_svd", "projective_clustering", "product_quantization", "hashed", "distilled"),
    *("tensor_train", "kronecker", "evd", "none", "transform_coding", "residual_quantization", "vocabulary_trimming"),
)


def look_numbers(methods: Iterable[str]) -> dict[str, int]:
    """The number of each method, which decides its look; a user's own methods take the next ones, by name.

    Args:
        methods: Names of what is drawn.
    """
    own = sorted(set(methods) - set(METHODS))
    return {name: number for number, name in enumerate((*METHODS, *own))}


def looks_of(methods: Sequence[str]) -> list[tuple[int, int]]:
    """Number and variant of each line of a plot: the variant counts the earlier lines of the same method.

    Args:
        methods: The method of each line.
    """
    numbers, variants = look_numbers(methods), Counter[str]()
    found = []
    for method in methods:
        found.append((numbers[method], variants[method]))
        variants[method] += 1
    return found
