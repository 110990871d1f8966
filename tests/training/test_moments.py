"""What AdamW knows of a table when factors take its place: against gradient histories that are known in full."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from embfact.embeddings.low_rank import LowRankEmbedding
from embfact.training.refactorization import carry_over

BETAS, EPS, LR, DECAY = (0.8, 0.95), 1e-8, 1e-2, 0.1


def adamw(*groups: list[nn.Parameter], lr: float = LR, decay: float = DECAY, **options: Any) -> torch.optim.AdamW:
    """An optimizer of the groups; the last of several does not decay."""
    decays = [decay] * len(groups[:-1]) + [0.0] if len(groups) > 1 else [decay]
    made = [{"params": group, "weight_decay": rate} for group, rate in zip(groups, decays, strict=True)]
    return torch.optim.AdamW(made, lr=lr, betas=BETAS, eps=EPS, **options)


def run_through(optimizer: torch.optim.Optimizer, history: list[dict[nn.Parameter, torch.Tensor]]) -> None:
    for gradients in history:
        for parameter, gradient in gradients.items():
            parameter.grad = gradient.clone()
        optimizer.step()


def factors(rows: int, width: int, rank: int, draw: torch.Generator, centered: bool = True) -> LowRankEmbedding:
    shapes = [(rows, rank), (rank, width), (width,)]
    a, b, mean = (torch.randn(shape, generator=draw, dtype=torch.float64) for shape in shapes)
    return LowRankEmbedding.from_factors(a, b, None, mean if centered else None)


def parts(embedding: LowRankEmbedding) -> list[nn.Parameter]:
    mean = [] if embedding.mean is None else [embedding.mean]
    return [embedding.factors.weight, embedding.projection.weight, *mean]


def gradients_of(embedding: LowRankEmbedding, gradient: torch.Tensor) -> dict[nn.Parameter, torch.Tensor]:
    """What autograd says the gradients of the factors are, given that of the whole table."""
    table = embedding(torch.arange(embedding.num_embeddings))
    weights = parts(embedding)
    return dict(zip(weights, torch.autograd.grad(table, weights, gradient), strict=True))


def carried(embedding: LowRankEmbedding, history: list[torch.Tensor], **options: Any) -> torch.optim.AdamW:
    """An optimizer that has seen the history at the table, and then got the factors."""
    table = nn.Parameter(torch.zeros_like(history[0]))
    bias = nn.Parameter(torch.zeros(2, dtype=history[0].dtype))
    optimizer = adamw([table], [bias], **options)
    run_through(optimizer, [{table: gradient} for gradient in history])
    carry_over(optimizer, table, embedding)
    a, b, *mean = parts(embedding)
    for group, now in zip(optimizer.param_groups, ([a, b], [bias, *mean]), strict=True):
        group["params"] = now
    return optimizer


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 7), st.integers(1, 6), st.integers(1, 4), st.integers(1, 6), st.booleans(), st.integers(0, 10**6))
def test_first_moments_are_those_that_the_factors_would_have_gathered_themselves(
    rows: int, width: int, rank: int, steps: int, centered: bool, seed: int
) -> None:
    draw = torch.Generator().manual_seed(seed)
    embedding = factors(rows, width, rank, draw, centered)
    history = [torch.randn(rows, width, generator=draw, dtype=torch.float64) for _ in range(steps)]
    # With a rate of zero the factors stay where they are, as they are for the table's history.
    alone = adamw(parts(embedding), lr=0.0)
    run_through(alone, [gradients_of(embedding, gradient) for gradient in history])
    moved = carried(embedding, history)
    for parameter in parts(embedding):
        own, given = alone.state[parameter], moved.state[parameter]
        torch.testing.assert_close(given["exp_avg"], own["exp_avg"], rtol=1e-10, atol=1e-12)
        assert given["step"] == own["step"] == steps


def test_second_moments_are_exact_where_each_gradient_has_a_single_source() -> None:
    draw = torch.Generator().manual_seed(0)
    embedding = factors(4, 4, 4, draw, centered=False)
    with torch.no_grad():
        embedding.factors.weight.copy_(torch.diag(torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=torch.float64)))
        embedding.projection.weight.copy_(torch.diag(torch.tensor([2.0, 0.1, -1.0, 4.0], dtype=torch.float64)).flip(0))
    history = [torch.randn(4, 4, generator=draw, dtype=torch.float64) for _ in range(5)]
    alone = adamw(parts(embedding), lr=0.0)
    run_through(alone, [gradients_of(embedding, gradient) for gradient in history])
    moved = carried(embedding, history)
    for parameter in parts(embedding):
        torch.testing.assert_close(moved.state[parameter]["exp_avg_sq"], alone.state[parameter]["exp_avg_sq"])


def test_second_moments_are_right_on_average_where_gradients_are_uncorrelated() -> None:
    draw = np.random.default_rng(0)
    embedding = factors(5, 4, 3, torch.Generator().manual_seed(0))
    a, b, _ = (part.detach().numpy() for part in parts(embedding))
    spread = draw.uniform(0.1, 2.0, (5, 4))
    gradients = spread * draw.standard_normal((200_000, 5, 4))
    expected = [
        ((gradients @ b.T) ** 2).mean(axis=0),
        ((a.T @ gradients) ** 2).mean(axis=0),
        (gradients.sum(axis=1) ** 2).mean(axis=0),
    ]
    table = nn.Parameter(torch.zeros(5, 4, dtype=torch.float64))
    optimizer = adamw([table])
    run_through(optimizer, [{table: torch.zeros_like(table)}])
    optimizer.state[table]["exp_avg_sq"].copy_(torch.from_numpy((gradients**2).mean(axis=0)))
    carry_over(optimizer, table, embedding)
    for parameter, mean in zip(parts(embedding), expected, strict=True):
        np.testing.assert_allclose(optimizer.state[parameter]["exp_avg_sq"].numpy(), mean, rtol=0.02)


@pytest.mark.parametrize("options", [{"fused": True}, {"foreach": True}, {"fused": False, "foreach": False}])
def test_the_next_step_is_the_one_that_adamws_formula_gives(options: dict[str, bool]) -> None:
    draw = torch.Generator().manual_seed(1)
    embedding = factors(6, 5, 2, draw)
    history = [torch.randn(6, 5, generator=draw, dtype=torch.float64) for _ in range(4)]
    optimizer = carried(embedding, history, **options)
    before = [part.detach().numpy().copy() for part in parts(embedding)]
    gradients = gradients_of(embedding, torch.randn(6, 5, generator=draw, dtype=torch.float64))
    run_through(optimizer, [gradients])

    m = v = np.zeros((6, 5))
    for gradient in map(np.asarray, history):
        m = BETAS[0] * m + (1 - BETAS[0]) * gradient
        v = BETAS[1] * v + (1 - BETAS[1]) * gradient**2
    a, b, _ = before
    firsts, seconds = [m @ b.T, a.T @ m, m.sum(axis=0)], [v @ (b**2).T, (a**2).T @ v, v.sum(axis=0)]
    for weight, first, second, decay, part in zip(
        before, firsts, seconds, (DECAY, DECAY, 0.0), parts(embedding), strict=True
    ):
        gradient = gradients[part].numpy()
        first = BETAS[0] * first + (1 - BETAS[0]) * gradient
        second = BETAS[1] * second + (1 - BETAS[1]) * gradient**2
        first, second = first / (1 - BETAS[0] ** 5), second / (1 - BETAS[1] ** 5)
        expected = weight * (1 - LR * decay) - LR * first / (np.sqrt(second) + EPS)
        np.testing.assert_allclose(part.detach().numpy(), expected, rtol=1e-9, atol=1e-12)


def test_the_table_is_forgotten_and_every_factor_is_known() -> None:
    embedding = factors(4, 3, 2, torch.Generator().manual_seed(0))
    history = [torch.ones(4, 3, dtype=torch.float64)]
    assert carried(embedding, history).state.keys() == set(parts(embedding))


def test_an_optimizer_that_has_not_stepped_yet_starts_with_the_factors() -> None:
    embedding, table = factors(4, 3, 2, torch.Generator()), nn.Parameter(torch.zeros(4, 3))
    optimizer = adamw([table])
    carry_over(optimizer, table, embedding)
    assert not optimizer.state


def test_an_optimizer_of_other_weights_is_refused() -> None:
    with pytest.raises(ValueError, match="does not train the table"):
        carry_over(
            adamw([nn.Parameter(torch.zeros(2))]), nn.Parameter(torch.zeros(4, 3)), factors(4, 3, 2, torch.Generator())
        )
