"""Learning from another model while training: from its logits, and from what its token table returns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 (torch's own name for it)
from torch.utils.hooks import RemovableHandle

from embfact.config.sections import TaskConfig


def logit_loss(logits: torch.Tensor, teacher: torch.Tensor, temperature: float = 1.0) -> torch.Tensor:
    """How far logits are from those of a teacher, a mean over rows: a scalar in float32.

    Of classes it is T² KL(softmax(teacher / T) || softmax(logits / T)); the factor T² keeps the size of the gradients
    (Hinton, Vinyals and Dean, 2015, "Distilling the Knowledge in a Neural Network"). Of a regression (one output) it is
    the mean squared difference.

    Args:
        logits: Of the student, shape ``(b, outputs)``.
        teacher: Of the teacher, same shape.
        temperature: T.
    """
    if logits.shape[-1] == 1:
        return F.mse_loss(logits.float(), teacher.float())
    student, target = ((scores.float() / temperature).log_softmax(dim=-1) for scores in (logits, teacher))
    return temperature**2 * F.kl_div(student, target, reduction="batchmean", log_target=True)


def lookup_loss(vectors: torch.Tensor, teacher: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean squared difference of two lookups: over the text of a row, then over rows, so that each row counts once.

    Args:
        vectors: Of the student, shape ``(b, t, H)``.
        teacher: Of the teacher, same shape.
        mask: Which positions are text, shape ``(b, t)``; padding does not count.
    """
    errors = (vectors.float() - teacher.float()).square().mean(dim=-1)
    return ((errors * mask).sum(dim=1) / mask.sum(dim=1)).mean()


class Distillation:
    """The loss of a student, which learns from labels and from a teacher.

    It is (1 - w) times the loss of the labels, plus w times `logit_loss`, plus e times `lookup_loss` of the output of
    the token embedding (as in TinyBERT: Jiao et al., 2020, "TinyBERT: Distilling BERT for Natural Language
    Understanding"), in units of the mean square of the teacher's table, so that e means the same for every backbone.

    Args:
        options: The weights w and e, and the temperature.
        table: The teacher's token table, shape ``(V, H)``; None to learn from logits alone.
    """

    def __init__(self, options: TaskConfig, table: torch.Tensor | None = None) -> None:
        self.options = options
        self.table = table
        self._unit = 1.0 if table is None else float(table.square().mean())
        self._watched: nn.Module | None = None
        self._handles: list[RemovableHandle] = []
        self._lookups: list[torch.Tensor] = []

    def watch(self, model: Any) -> None:
        """Record what the token embedding of a model returns from now on; a training may replace that module."""
        embedding = model.get_input_embeddings()
        if self.table is None or embedding is self._watched:
            return
        self.release()
        self._watched = embedding
        self._handles = [module.register_forward_hook(self._record) for module in _sharing(model, embedding)]

    def release(self) -> None:
        """Stop recording."""
        for handle in self._handles:
            handle.remove()
        self._watched, self._handles = None, []
        self._lookups.clear()

    def loss(self, labels: torch.Tensor, logits: torch.Tensor, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """The loss of a batch, right after its forward pass: a scalar in float32.

        Args:
            labels: The loss of its labels alone, a scalar.
            logits: What the student gave, shape ``(b, outputs)``.
            batch: The batch; ``teacher`` holds the teacher's logits, shape ``(b, outputs)``.
        """
        weight = self.options.distill_weight
        loss = (1 - weight) * labels
        if weight:
            loss = loss + weight * logit_loss(logits, batch["teacher"], self.options.distill_temperature)
        if self.table is None:
            return loss
        # An encoder-decoder looks up twice; its encoder, which reads the text, does so first.
        vectors = self._lookups[0]
        self._lookups.clear()
        self.table = self.table.to(vectors.device)
        told = F.embedding(batch["input_ids"], self.table)
        return loss + self.options.distill_embedding / self._unit * lookup_loss(vectors, told, batch["attention_mask"])

    def _record(self, module: Any, inputs: tuple[torch.Tensor, ...], vectors: torch.Tensor) -> None:
        if torch.is_grad_enabled():  # not while scoring
            # Some modules of transformers scale their rows (BART); ours do so after this hook.
            self._lookups.append(vectors / float(getattr(module, "embed_scale", 1.0)))


def _sharing(model: nn.Module, embedding: nn.Module) -> Iterator[nn.Module]:
    """The token embedding, and other modules that look up in the same table."""
    table = getattr(embedding, "weight", None)
    for module in model.modules():
        shared = isinstance(module, nn.Embedding) and table is not None and module.weight is table
        if module is embedding or shared:
            yield module
