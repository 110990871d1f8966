"""Second moments of the loss gradient at the token table: how much each row and each direction matters to the loss."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import count, islice
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel

from embfact.data.batches import LengthGroupedBatches, collate, sorted_batches
from embfact.data.tokenized import Tokenized
from embfact.errors import ModelError

if TYPE_CHECKING:
    from embfact.tasks.sequence_classification import SequenceClassification

# Fixed, so that runs of any seed and batch size share the moments.
SEED = 0  # of the head, of the drawn rows, and of their order
BATCH_SIZE = 32
HEAD_RATE = 1e-2  # of the first step, falling to 0: high, since there are few steps

Batch = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Moments:
    """Second moments of the loss gradient, float64 on the CPU.

    Attributes:
        row_gradients: For each token the sum over examples of the squared norm of the gradient of the example's loss at
            the token's row of the table, shape ``(V,)``: the diagonal of the empirical Fisher information, summed over
            the row (Hsu et al., "Language model compression with weighted low-rank factorization", ICLR 2022).
        gradient_metric: Mean of g gᵀ over token positions without padding, shape ``(H, H)``; g is the gradient of an
            example's loss at the table's output for one of its tokens.
    """

    row_gradients: torch.Tensor
    gradient_metric: torch.Tensor


class Lookup(NamedTuple):
    """One use of the table in a forward pass: ids ``(b, t)``, the resulting vectors, and the factor on them."""

    ids: torch.Tensor
    vectors: torch.Tensor
    scale: float


@dataclass(frozen=True)
class Calibration:
    """How the moments are taken; nothing in it is random, and dropout is always off.

    Attributes:
        rows: Number of training rows to use, drawn without replacement; all if there are fewer.
        warmup_steps: Steps of AdamW that train only the head first: the gradients of an untrained head point in random
            directions.
        pad_token_id: Token to pad with.
        padding_side: ``"right"`` or ``"left"``.
    """

    rows: int
    warmup_steps: int
    pad_token_id: int
    padding_side: str = "right"

    def settings(self) -> dict[str, Any]:
        """Everything here that decides the moments, as JSON values."""
        return asdict(self) | {"seed": SEED, "batch_size": BATCH_SIZE, "head_rate": HEAD_RATE}

    def measure(self, task: SequenceClassification, train: Tokenized) -> Moments:
        """Take the moments.

        Args:
            task: A model that is changed: its head is trained, then nothing of it is trainable.
            train: The rows that the run trains on.

        Raises:
            ModelError: If the gradients are not finite.
        """
        task.model.eval().requires_grad_(False)
        order = LengthGroupedBatches(train.lengths, BATCH_SIZE, SEED)
        warm_up_head(task, self._endless(train, order, task.device), self.warmup_steps)
        chosen = np.arange(len(train))
        if self.rows < len(train):
            chosen = np.sort(np.random.default_rng(SEED).choice(len(train), self.rows, replace=False))
        batches = [chosen[batch].tolist() for batch in sorted_batches(train.lengths[chosen], BATCH_SIZE)]
        moments = second_moments(task, self._collated(train, batches, task.device), self.pad_token_id)
        if not all(torch.isfinite(moment).all() for moment in (moments.row_gradients, moments.gradient_metric)):
            raise ModelError("the gradients of the backbone are not finite; use a backbone with sound weights")
        return moments

    def _endless(self, train: Tokenized, order: LengthGroupedBatches, device: torch.device) -> Iterator[Batch]:
        for epoch in count():
            order.set_epoch(epoch)
            yield from self._collated(train, order, device)

    def _collated(self, rows: Tokenized, batches: Any, device: torch.device) -> Iterator[Batch]:
        for indices in batches:
            batch = collate(rows, indices, self.pad_token_id, self.padding_side)
            yield {name: values.to(device) for name, values in batch.items()}


def warm_up_head(task: SequenceClassification, batches: Iterator[Batch], steps: int) -> None:
    """Train everything after the backbone for a few steps of AdamW, one batch each, without dropout.

    All parameters are frozen before and afterwards; with 0 steps the head stays as it is.
    """
    model: Any = task.model
    backbone = {id(parameter) for parameter in model.base_model.parameters()}
    head = [parameter for parameter in model.parameters() if id(parameter) not in backbone]
    if not head or not steps:
        return
    optimizer = torch.optim.AdamW([parameter.requires_grad_() for parameter in head], lr=HEAD_RATE, weight_decay=0.0)
    falling = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)
    for batch in islice(batches, steps):
        optimizer.zero_grad()
        # A short last batch counts for its rows.
        (task.loss(task.logits(batch), batch["labels"]) * len(batch["labels"]) / BATCH_SIZE).backward()
        optimizer.step()
        falling.step()
    for parameter in head:
        parameter.requires_grad_(False)


def second_moments(task: SequenceClassification, batches: Iterator[Batch], pad_token_id: int) -> Moments:
    """Sums of squared gradients by token, and the mean of g gᵀ, over some labelled batches, in evaluation mode.

    Each example has its own loss, so the result does not depend on which examples share a batch. ``pad_token_id`` pads
    the inputs of a decoder; the others have an attention mask.
    """
    model: Any = task.model
    vocab_size, width = model.get_input_embeddings().weight.shape
    rows = torch.zeros(vocab_size, dtype=torch.float64)
    metric, positions = torch.zeros(width, width, dtype=torch.float64), 0
    for batch in batches:
        with recorded_lookups(model) as lookups:
            # The mean over the batch, turned into the sum over examples: no example affects another's gradient.
            loss = task.loss(task.logits(batch), batch["labels"]) * len(batch["labels"])
        found = torch.autograd.grad(loss, [lookup.vectors for lookup in lookups])
        masks = [_counted(lookup.ids, batch, pad_token_id) for lookup in lookups]
        gradients = torch.cat([(g * use.scale)[m] for g, use, m in zip(found, lookups, masks, strict=True)])
        gradients = gradients.to("cpu", torch.float64)
        rows += _by_token(gradients, lookups, masks, vocab_size)
        metric.addmm_(gradients.T, gradients)
        positions += len(gradients)
    return Moments(rows, metric / positions)


@contextmanager
def recorded_lookups(model: PreTrainedModel) -> Iterator[list[Lookup]]:
    """Record every lookup in the token table, and let gradients reach its result, whatever is frozen.

    An encoder-decoder looks up twice, in separate modules that share the weights.
    """
    table = model.get_input_embeddings().weight
    lookups: list[Lookup] = []

    def record(module: nn.Module, inputs: tuple[torch.Tensor, ...], vectors: torch.Tensor) -> torch.Tensor:
        leaf = vectors.detach().requires_grad_()
        # Some modules scale their rows (BART): the gradient at the row has that factor too.
        lookups.append(Lookup(inputs[0], leaf, float(getattr(module, "embed_scale", 1.0))))
        return leaf.clone()  # a leaf could not be added to in place

    sharing = [m for m in model.modules() if isinstance(m, nn.Embedding) and m.weight is table]
    handles = [module.register_forward_hook(record) for module in sharing]
    try:
        yield lookups
    finally:
        for handle in handles:
            handle.remove()


def _counted(ids: torch.Tensor, batch: Batch, pad_token_id: int) -> torch.Tensor:
    """Which positions of a lookup are text, shape ``(b, t)``, boolean."""
    if ids.shape == batch["input_ids"].shape and torch.equal(ids, batch["input_ids"]):
        return batch["attention_mask"].bool()
    text = ids != pad_token_id
    text[:, 0] = True  # a decoder starts with a special token, which for T5 is the padding token
    return text


def _by_token(
    gradients: torch.Tensor, lookups: Sequence[Lookup], masks: Sequence[torch.Tensor], vocab_size: int
) -> torch.Tensor:
    """Squared length of the summed gradient of each token in each example, summed over examples, shape ``(V,)``."""
    keys = []
    for (ids, *_), mask in zip(lookups, masks, strict=True):
        example = torch.arange(len(ids), device=ids.device).unsqueeze(1)
        keys.append((example * vocab_size + ids)[mask])
    pairs, place = torch.cat(keys).cpu().unique(return_inverse=True)
    sums = torch.zeros(len(pairs), gradients.shape[1], dtype=gradients.dtype).index_add_(0, place, gradients)
    return torch.zeros(vocab_size, dtype=gradients.dtype).index_add_(0, pairs % vocab_size, sums.square().sum(dim=1))
