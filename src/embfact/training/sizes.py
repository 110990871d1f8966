"""The sizes of a run that diverged: its structure is known, although its weights are not worth saving."""

from __future__ import annotations

from transformers import PreTrainedModel

from embfact.config.run_config import RunConfig
from embfact.embeddings.layout import Size
from embfact.models.compress import embedding_tensors
from embfact.models.size import model_size
from embfact.models.storage import allocate
from embfact.models.table import dense_table


def unsaved_sizes(
    model: PreTrainedModel, config: RunConfig, rank: int | None, dense: dict[str, Size]
) -> dict[str, Size | dict[str, Size]]:
    """Sizes of ``embedding`` and ``model`` as the run would have saved them, beside those of ``dense``.

    Args:
        model: The model; its tables are emptied into the form in which they would be stored.
        config: The configuration of the run.
        rank: Its rank; None for a method without one.
        dense: Sizes before the table was replaced.
    """
    if config.refactorize.every != "never" and getattr(model.config, "embfact", None) is None:
        # Its table was to be replaced later, by factors whose shapes follow from the rank.
        table = dense_table(model)
        shape, weight_bytes = (table.num_embeddings, table.embedding_dim), table.weight.element_size()
        embedding = config.factorization.size(*shape, rank, config.kept, weight_bytes)
        rest = [
            dense["model"].parameters - dense["embedding"].parameters,
            dense["model"].bytes - dense["embedding"].bytes,
        ]
        whole = Size(rest[0] + embedding.parameters, rest[1] + embedding.bytes)
    else:
        allocate(model, config.kept)
        embedding, whole = model_size(model, embedding_tensors(model)), model_size(model)
    return {"embedding": embedding, "model": whole, "dense": dense}
