"""What the candidates of ``factorization=auto`` lose on held-out rows, which neither methods nor reports look at."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import nn

from embfact import evidence
from embfact.compression.factorize import Workbench
from embfact.compression.factorize_request import Job
from embfact.config.run_config import RunConfig
from embfact.data.text import load_text
from embfact.data.tokenized import tokenize
from embfact.errors import UserError
from embfact.factorization.auto import SIZES, sized
from embfact.inference.scoring import predict
from embfact.models.compress import compress, embedding_tensors
from embfact.models.loading import load_backbone
from embfact.models.pooled import count_tokens
from embfact.models.size import model_size
from embfact.models.storage import store
from embfact.runs.identity import identify
from embfact.search.measured import Measured


def table_errors(config: RunConfig) -> list[Measured]:
    """The weighted squared error of the backbone's table with each candidate that fits the budget."""
    bench, budget = Workbench(config.dense()), cast(float, config.budget)
    rows = [(job.config.storage, bench.row(job, "")) for job in bench.candidates(Job(config))]
    return [Measured(row.method, storage, budget, row.bytes, row.weighted_error) for storage, row in rows]


def expected_losses(config: RunConfig, dense: Path) -> list[Measured]:
    """The accuracy that is expected to be lost if the table of a trained dense run is replaced and nothing is trained.

    Args:
        config: A run with ``factorization=auto``.
        dense: Directory of the finished dense run with its seed.

    Returns:
        A candidate for each size of `SIZES`; ``lost`` in points.
    """
    text = load_text(config.data, config.paths.data_dir, config.paths.cache_dir, seed=config.seed)
    if text.label_names is None or text.selection is None:
        raise UserError("factorization.tolerance is in points of accuracy and needs classes and held-out rows")
    model, tokenizer = load_backbone(
        config.model.model_copy(update={"from_run": str(dense)}),
        num_labels=len(text.label_names),
        label_names=text.label_names,
        dropout=None,
        seed=config.seed,
        pooling=config.task.pooling,
    )
    train, rows = (
        tokenize(part, tokenizer, config.data.max_length, config.paths.cache_dir)
        for part in (text.train, text.selection)
    )
    count_tokens(model, train)

    def logits(scored: nn.Module) -> np.ndarray:
        return predict(
            scored,
            rows,
            pad_token_id=cast(int, tokenizer.pad_token_id),
            padding_side=tokenizer.padding_side,
            batch_size=config.trainer.eval_batch_size,
            title=config.factorization.name,
        )

    before = logits(model)
    table = cast(nn.Embedding, model.get_input_embeddings()).weight
    found = []
    for budget in SIZES:
        method, storage = sized(len(table), table.shape[1], budget, config.storage_group)
        run = config.with_method(method, storage.format, budget)
        seen = evidence.collect(run, identify(config).model_fingerprint, model, tokenizer, train, text.train_all)
        small = copy.deepcopy(model)
        rank = run.target.rank_of(method, table, seen, storage) if run.target else None
        compress(small, method, rank, evidence=seen, seed=config.seed, storage=storage)
        store(small, storage)
        size = model_size(small, embedding_tensors(small)).bytes
        lost = 100 * expected_loss(before, logits(small))
        found.append(Measured(method.name, storage.format, budget, size, lost))
    return found


def expected_loss(before: np.ndarray, after: np.ndarray) -> float:
    """The accuracy that predictions lose against others whose probabilities are taken for the truth.

    A row whose prediction stays loses nothing; one that changes loses the difference of the two classes' probabilities.
    Unlike the difference of two accuracies, this does not depend on labels, so a few hundred rows tell small losses.

    Args:
        before: Logits, shape ``(rows, classes)``.
        after: Logits of the same rows.

    Returns:
        A share from 0 to 1.
    """
    chances = torch.from_numpy(before).double().softmax(1)
    chosen = torch.from_numpy(after).argmax(1, keepdim=True)
    return float((chances.max(1).values - chances.gather(1, chosen).squeeze(1)).mean())
