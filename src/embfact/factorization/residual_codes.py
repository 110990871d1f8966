"""Vectors as sums of centroids: the codebooks of all stages, how many stages each token gets, and its codes.

Tokens have c vectors of the same width that share the codebooks, shape ``(V, c, w)`` in float32 or float64.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from embfact.embeddings.product_quantized import nearest
from embfact.factorization.product_quantization import CANDIDATES, weighted_k_means

SAMPLE = 65_536  # vectors that k-means sees at most, drawn by weight
BLOCK_NUMBERS = 2**20  # of the distances that are computed at a time


@dataclass(frozen=True)
class Stages:
    """Sums of centroids, fitted to vectors.

    Attributes:
        books: Centroids of each stage, shape ``(S, K, w)``.
        codes: Centroid of each vector in each stage, uint8, shape ``(V, S, c)``; those beyond the stages of a token
            mean nothing.
        errors: Σ_v p_v |x_v - its sum|² after each step, never growing.
    """

    books: torch.Tensor
    codes: torch.Tensor
    errors: list[float]


def stage_books(
    vectors: torch.Tensor, weights: torch.Tensor, stages: int, centroids: int, iterations: int, seed: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Codebooks of all stages: weighted k-means over what the stages before it leave.

    Args:
        vectors: x, shape ``(V, c, w)``.
        weights: p, above 0, shape ``(V,)``.
        stages: S.
        centroids: K, at most V.
        iterations: Largest number of steps of Lloyd's algorithm.
        seed: Decides what is drawn.

    Returns:
        The centroids, shape ``(S, K, w)``, and the squared errors of the tokens after each number of stages, float64,
        shape ``(V, S + 1)``.
    """
    draw, residual = np.random.default_rng(seed), vectors
    shares = weights.repeat_interleave(vectors.shape[1]).numpy()
    shares = shares / shares.sum()
    books, errors = [], [_squares(residual)]
    # One thread: several would add up sums in the order in which they finish, which changes the last bits.
    with threadpool_limits(limits=1, user_api="openmp"):
        for _ in range(stages):
            book = _codebook(residual.flatten(0, 1).numpy(), shares, centroids, iterations, draw)
            codes = torch.cat([nearest(some, book) for some in residual.split(_block(vectors, centroids))])
            residual = residual - book[codes.long()]
            books.append(book)
            errors.append(_squares(residual))
    return torch.stack(books), torch.stack(errors, dim=1)


def share_out(errors: torch.Tensor, total: int) -> torch.Tensor:
    """Stages of each token, ``total`` together, that leave the least error.

    With errors that fall ever more slowly, the stages that gain most are taken first, which is optimal; where a later
    stage of a token gains more than an earlier one, both are taken as two halves of the same gain.

    Args:
        errors: Weighted error of each token after 0 to S stages, shape ``(V, S + 1)``.
        total: At most V S.

    Returns:
        Numbers of stages, shape ``(V,)``.
    """
    stages = errors.shape[1] - 1
    # The slopes of the least concave majorant of what is gained, by its min-max formula.
    slopes = [
        torch.stack([_best_slope(errors, start, stage) for start in range(stage)]).amin(dim=0)
        for stage in range(1, stages + 1)
    ]
    best = torch.stack(slopes, dim=1).flatten().argsort(descending=True, stable=True)[:total]
    return torch.bincount(best // stages, minlength=len(errors))


def _best_slope(errors: torch.Tensor, start: int, stage: int) -> torch.Tensor:
    """The most that is gained per stage from a number of stages to any that has this stage, shape ``(V,)``."""
    ends = range(stage, errors.shape[1])
    return torch.stack([(errors[:, start] - errors[:, end]) / (end - start) for end in ends]).amax(dim=0)


def fit_stages(
    vectors: torch.Tensor, weights: torch.Tensor, lengths: torch.Tensor, books: torch.Tensor, beam: int, rounds: int
) -> Stages:
    """Search the codes of all vectors; then refit the centroids to the codes and search again, in turns.

    Args:
        vectors: x, shape ``(V, c, w)``.
        weights: p, above 0, shape ``(V,)``.
        lengths: Stages of each token, shape ``(V,)``.
        books: Centroids to start from, shape ``(S, K, w)``.
        beam: Partial sums that the search keeps.
        rounds: How often the centroids are refitted.
    """
    codes = torch.zeros(len(vectors), len(books), vectors.shape[1], dtype=torch.uint8)
    codes = _search(vectors, lengths, books, codes, beam)
    errors = [_error(vectors, weights, lengths, books, codes)]
    for _ in range(rounds):
        books = _refit(vectors, weights, lengths, books, codes)
        errors.append(_error(vectors, weights, lengths, books, codes))
        found = _search(vectors, lengths, books, codes, beam)
        # A beam may miss what was found before.
        nearer = _lost(vectors, lengths, books, found) < _lost(vectors, lengths, books, codes)
        codes = torch.where(nearer.unsqueeze(1), found, codes)
        errors.append(_error(vectors, weights, lengths, books, codes))
    return Stages(books, codes, errors)


def encode(vectors: torch.Tensor, books: torch.Tensor, beam: int) -> torch.Tensor:
    """Codes of vectors ``(n, w)`` in n stages, one after another, keeping the nearest partial sums: ``(n, stages)``.

    A beam of 1 takes the nearest centroid in each stage; one of K^(stages - 1) finds the nearest of all sums.
    """
    (count, width), residual = vectors.shape, vectors.unsqueeze(1)
    codes = torch.zeros(count, 1, 0, dtype=torch.uint8)
    for book in books:
        # |r - c|² = |r|² + |c|² - 2 r c
        costs = torch.addmm(book.square().sum(dim=1), residual.flatten(0, 1), book.T, alpha=-2)
        costs = costs.add_(residual.flatten(0, 1).square().sum(dim=1, keepdim=True)).view(count, -1)
        least = costs.topk(min(beam, costs.shape[1]), largest=False).indices
        origin, code = (least // len(book)).unsqueeze(2), least % len(book)
        residual = residual.gather(1, origin.expand(-1, -1, width)) - book[code]
        earlier = codes.gather(1, origin.expand(-1, -1, codes.shape[2]))
        codes = torch.cat([earlier, code.unsqueeze(2).to(torch.uint8)], dim=2)
    return codes[:, 0]


def _codebook(
    vectors: np.ndarray, shares: np.ndarray, centroids: int, iterations: int, draw: np.random.Generator
) -> torch.Tensor:
    weights = shares / shares.max()
    if len(vectors) > SAMPLE:
        chosen, times = np.unique(draw.choice(len(vectors), SAMPLE, p=shares), return_counts=True)
        vectors, weights = vectors[chosen], times.astype(float)
        shares = weights / weights.sum()
    candidates = draw.choice(len(vectors), min(CANDIDATES * centroids, len(vectors)), replace=False, p=shares)
    state = int(draw.integers(2**31))
    return weighted_k_means(torch.from_numpy(vectors), weights, candidates, centroids, iterations, state)


def _search(
    vectors: torch.Tensor, lengths: torch.Tensor, books: torch.Tensor, codes: torch.Tensor, beam: int
) -> torch.Tensor:
    """Codes ``(V, S, c)``, found again for the stages that each token has."""
    codes, step = codes.clone(), _block(vectors, beam * books.shape[1])
    for length in range(1, len(books) + 1):
        alike = (lengths == length).nonzero().squeeze(1)
        for start in range(0, len(alike), step):
            tokens = alike[start : start + step]
            found = encode(vectors[tokens].flatten(0, 1), books[:length], beam)
            codes[tokens, :length] = found.unflatten(0, (len(tokens), vectors.shape[1])).transpose(1, 2)
    return codes


def _refit(
    vectors: torch.Tensor, weights: torch.Tensor, lengths: torch.Tensor, books: torch.Tensor, codes: torch.Tensor
) -> torch.Tensor:
    """Each centroid in turn the weighted mean of what the other stages leave of its vectors."""
    residual, books = vectors - _decode(lengths, books, codes), books.clone()
    for stage, book in enumerate(books):
        used = (lengths > stage).nonzero().squeeze(1)
        code = codes[used, stage].long().flatten()
        own = residual[used].flatten(0, 1) + book[code]
        weight = weights[used].repeat_interleave(vectors.shape[1])
        mass = torch.zeros(len(book), dtype=weight.dtype).index_add_(0, code, weight)
        sums = torch.zeros(book.shape, dtype=weight.dtype).index_add_(0, code, weight.unsqueeze(1) * own)
        books[stage] = torch.where((mass > 0).unsqueeze(1), (sums / mass.unsqueeze(1)).to(book), book)
        residual[used] = (own - books[stage][code]).view(len(used), *vectors.shape[1:])
    return books


def _decode(lengths: torch.Tensor, books: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
    """The sums, shape ``(V, c, w)``."""
    sums = books.new_zeros(len(lengths), codes.shape[2], books.shape[2])
    for stage, book in enumerate(books):
        used = (lengths > stage).nonzero().squeeze(1)
        sums[used] += book[codes[used, stage].long()]
    return sums


def _lost(vectors: torch.Tensor, lengths: torch.Tensor, books: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
    """Squared error of each vector, float64, shape ``(V, c)``."""
    return (vectors - _decode(lengths, books, codes)).double().square().sum(dim=2)


def _error(
    vectors: torch.Tensor, weights: torch.Tensor, lengths: torch.Tensor, books: torch.Tensor, codes: torch.Tensor
) -> float:
    return (weights @ _lost(vectors, lengths, books, codes).sum(dim=1)).item()


def _squares(vectors: torch.Tensor) -> torch.Tensor:
    return vectors.double().square().sum(dim=(1, 2))


def _block(vectors: torch.Tensor, costs: int) -> int:
    """Tokens at a time, if each vector has this many distances."""
    return max(1, BLOCK_NUMBERS // (vectors.shape[1] * costs))
