"""Training that starts with the dense table and projects it to ever smaller ranks, until it is replaced by factors.

Between two projections the dense table can leave the subspace that it was projected on, so that the loss influences
which subspace is kept, as in the alternation of training and truncation of TRP (Xu et al., 2020, "Trained Rank
Pruning for Efficient Deep Neural Networks").
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, cast

import pytorch_lightning as pl
import torch
from torch import nn

from embfact.config.rank_schedule import Projection, rank_schedule
from embfact.config.sections import RefactorizeConfig
from embfact.embeddings.low_rank import LowRankEmbedding
from embfact.factorization.base import Evidence, Factorization
from embfact.models.table import dense_table

log = logging.getLogger(__name__)


class Refactorization(pl.Callback):
    """Projects the table after certain optimizer steps, and replaces it by factors at the last of them.

    A projection does not change the state of the optimizer: its moments are means of gradients with respect to the
    entries of the table, which stays dense and in the same coordinates. `carry_over` translates them to the factors.

    Args:
        options: When to project.
        method: A refactorizable method, the same at every projection.
        rank: The final rank r.
        swap: Replaces the table of the model with the factors of that rank.
        evidence: What the method needs, the same at every projection.
        seed: For methods that draw random numbers.

    Attributes:
        done: The projections so far.
        dense: Whether the table is still there.
    """

    def __init__(
        self,
        options: RefactorizeConfig,
        method: Factorization,
        rank: int,
        swap: Callable[[], None],
        *,
        evidence: Evidence | None = None,
        seed: int = 0,
    ):
        self.options = options
        self.method = method
        self.rank = rank
        self.swap = swap
        self.evidence = evidence
        self.seed = seed
        self.done: list[Projection] = []
        self.dense = True
        self._due: list[Projection] = []

    def state_dict(self) -> dict[str, Any]:
        """The projections so far."""
        return {"dense": self.dense, "done": [[projection.step, projection.rank] for projection in self.done]}

    def catch_up(self, checkpoint: Mapping[str, Any]) -> None:
        """Bring a dense model into the shape that it had when a training state was saved.

        Its weights are loaded from this Lightning checkpoint afterwards, so the factors fitted here do not matter.
        """
        state = checkpoint["callbacks"][self.state_key]
        self.done = [Projection(step, rank) for step, rank in state["done"]]
        if not state["dense"]:
            self.swap()
            self.dense = False

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Plan the projections, or refuse a training that is too short for them."""
        if not self.dense:
            return
        steps_per_epoch = -(-int(trainer.num_training_batches) // trainer.accumulate_grad_batches)
        steps = int(trainer.estimated_stepping_batches)
        table = dense_table(pl_module.model)
        self.method.check_size(table.num_embeddings, table.embedding_dim, self.rank)
        length = {"steps": steps, "steps_per_epoch": steps_per_epoch}
        schedule = rank_schedule(self.options, **length, width=table.embedding_dim, rank=self.rank)
        self._due = [projection for projection in schedule if projection.step > trainer.global_step]

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: Any) -> None:
        """Project after an optimizer step if due; at the end of an epoch, before the held-out rows are scored."""
        # The step count does not change while gradients are accumulated.
        if self._due and trainer.global_step == self._due[0].step:
            projection = self._due.pop(0)
            (self._project if self._due else self._replace)(trainer, pl_module, projection)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Replace a table that is still dense, whatever ended the training early: a rank was asked for."""
        if self.dense:
            self._due.clear()
            self._replace(trainer, pl_module, Projection(trainer.global_step, self.rank))

    @torch.no_grad()
    def _project(self, trainer: pl.Trainer, module: pl.LightningModule, projection: Projection) -> None:
        table = _table(module)
        fitted = self.method.fit(
            table.weight, projection.rank, evidence=self.evidence, padding_idx=table.padding_idx, seed=self.seed
        )
        table.weight.copy_(fitted.dense())
        self._note(projection, "still stored dense")

    def _replace(self, trainer: pl.Trainer, module: pl.LightningModule, projection: Projection) -> None:
        table = cast(nn.Parameter, _table(module).weight)
        self.swap()
        (optimizer,) = trainer.optimizers
        carry_over(optimizer, table, cast(LowRankEmbedding, _table(module)))
        # The same groups as in a new optimizer for the present model, so that a resumed training finds its states.
        for group, now in zip(optimizer.param_groups, cast(Any, module).parameter_groups(), strict=True):
            group["params"] = now["params"]
        self.dense = False
        self._note(projection, "its factors are trained from now on")

    def _note(self, projection: Projection, what: str) -> None:
        log.info("step %d: the table has rank %d, %s", projection.step, projection.rank, what)
        self.done.append(projection)


def _table(module: pl.LightningModule) -> nn.Embedding:
    return cast(Any, module.model).get_input_embeddings()


@torch.no_grad()
def carry_over(optimizer: torch.optim.Optimizer, table: nn.Parameter, embedding: LowRankEmbedding) -> None:
    """Translate AdamW's moments of a table to the factors that replace it; the caller updates the parameter groups.

    Args:
        optimizer: An AdamW that trains `table`.
        table: The table W, shape ``(V, H)``; its state is removed.
        embedding: Its factors, with the dtype and device of the table.

    Raises:
        ValueError: If the optimizer does not train the table.
    """
    a, b, mean = embedding.factors.weight, embedding.projection.weight, embedding.mean
    if not any(parameter is table for group in optimizer.param_groups for parameter in group["params"]):
        raise ValueError("the optimizer does not train the table; keep it trainable until its factors replace it")
    state = optimizer.state.pop(table, {})
    if not state:  # all steps were skipped, as with the first loss scale in 16 bits
        return
    m, v = state["exp_avg"], state["exp_avg_sq"]
    moments = {a: (m @ b.T, v @ b.square().T), b: (a.T @ m, a.square().T @ v)}
    if mean is not None:
        moments[mean] = (m.sum(dim=0), v.sum(dim=0))
    for parameter, (first, second) in moments.items():
        optimizer.state[parameter] = {"step": state["step"].clone(), "exp_avg": first, "exp_avg_sq": second}
