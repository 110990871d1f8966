"""Storing the token embedding of a model in fewer bytes: after training, or simulated during training."""

from __future__ import annotations

from typing import cast

from torch import nn
from transformers import PreTrainedModel

from embfact.embeddings.base import TokenEmbedding
from embfact.embeddings.build import describe_embedding
from embfact.embeddings.dense import DenseEmbedding
from embfact.embeddings.layout import FLOAT32, Storage
from embfact.errors import ModelError
from embfact.models.sharing import note


def store(model: PreTrainedModel, storage: Storage) -> None:
    """Store the tables and factors of a compressed model in another way from now on, in place.

    The blueprint in ``model.config.embfact`` then says so, and the weights are saved as they are stored. Stored tables
    are not trained any more. ``float32`` leaves everything as it is.

    Args:
        model: A model that `embfact.models.compress.compress` has changed; the method ``none`` keeps a dense table.
        storage: The new storage; see `embfact.embeddings.rows.Rows`.

    Raises:
        ModelError: If the model is not compressed, is already stored so, or has weights that the storage cannot hold.
    """
    if storage == FLOAT32:
        return
    embedding = _token_embedding(model)
    try:
        embedding.store_tables(storage)
    except ValueError as error:
        raise ModelError(f"the token embedding of {model.config.model_type}: {error}") from error
    blueprint = model.config.embfact
    # An adapter is described by its options; only the storage has to be added.
    kept = storage.as_json() if "adapter" in blueprint else {"embedding": describe_embedding(embedding)}
    note(model, blueprint | kept)


def allocate(model: PreTrainedModel, storage: Storage) -> None:
    """Give a model that an adapter has changed the tensors of a stored embedding, all zero, for loading saved ones."""
    if storage != FLOAT32:
        _token_embedding(model).allocate_tables(storage)


def imitate(model: PreTrainedModel, storage: Storage | None) -> None:
    """Train, and score, as if the tables were already stored so (quantization-aware training).

    The forward pass uses the rounded weights, and the gradient reaches the weights as if there were no rounding (the
    straight-through estimator of Bengio, Léonard and Courville, 2013; for networks: Jacob et al., 2018, "Quantization
    and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference").

    Args:
        model: A model that `embfact.models.compress.compress` has changed.
        storage: The storage to imitate; None, or ``float32``, ends it.

    Raises:
        ModelError: If the model is not compressed.
    """
    _token_embedding(model).imitate_storage(None if storage == FLOAT32 else storage)


def _token_embedding(model: PreTrainedModel) -> TokenEmbedding:
    """The token embedding of a compressed model; a plain table left by an adapter becomes one."""
    embedding = model.get_input_embeddings()
    if isinstance(embedding, TokenEmbedding):
        return embedding
    blueprint = getattr(model.config, "embfact", None) or {}
    if "adapter" not in blueprint or type(embedding) is not nn.Embedding:
        raise ModelError(
            f"the token embedding of this {model.config.model_type} is still the {type(embedding).__name__} of the "
            "backbone; compress the model first (method none keeps its table dense)"
        )
    table = DenseEmbedding.from_table(embedding.weight, embedding.padding_idx)
    model.set_input_embeddings(cast(nn.Module, table.train(embedding.training)))
    return table
