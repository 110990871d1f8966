"""The public functions of the package: compress a model, see what that saves, save it, load it."""

from __future__ import annotations

import operator
from pathlib import Path
from typing import Any, TypeVar, get_args

import torch
from pydantic import ValidationError
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from embfact.config.validation import errors_of
from embfact.embeddings.layout import DEFAULT_GROUP, Storage, StorageFormat, StorageGroup
from embfact.errors import UserError, nearest
from embfact.factorization.base import BudgetUnit, Evidence, EvidenceKind, Method
from embfact.factorization.registry import method_of
from embfact.factorization.target import SizeTarget
from embfact.factorization.token_counts import checked_weights
from embfact.models import checkpoint
from embfact.models.compress import compress as replace_table
from embfact.models.own_save import own_save
from embfact.models.storage import store
from embfact.models.summary import Summary, summary
from embfact.models.table import dense_table
from embfact.models.token_ids import check_ids
from embfact.models.undo import unchanged_on_error
from embfact.models.wrapping import unwrapped

__all__ = ["Summary", "compress", "from_pretrained", "save_pretrained", "summary"]

Model = TypeVar("Model", bound=PreTrainedModel)


def compress(
    model: Model,
    method: str | Method,
    *,
    rank: int | None = None,
    budget: float | None = None,
    energy: float | None = None,
    budget_unit: BudgetUnit = "bytes",
    token_counts: Any = None,
    row_gradients: Any = None,
    gradient_metric: Any = None,
    storage: StorageFormat = "float32",
    storage_group: StorageGroup = DEFAULT_GROUP,
    seed: int = 0,
    **options: Any,
) -> Model:
    """Replace the token embedding of a model by a smaller one, in place.

    An output layer that is tied to the table stays tied: it uses the smaller embedding from now on. Exactly one of
    rank, budget and energy is given, unless the method has no size (``none``).

    Args:
        model: A transformers model with a V x H token table.
        method: Name of a factorization, as for ``factorization=``, or a `Method` of your own.
        rank: Size of the result: the inner dimension, or what docs/methods.md says for the method.
        budget: Largest share of the dense float32 table, above 0 and at most 1; the largest size that fits is taken.
        energy: Share of the (weighted) squared norm of the table to retain; the smallest rank that does is taken.
        budget_unit: Whether the budget is a share of ``bytes``, as saved, or of ``params``.
        token_counts: Occurrences of each token in your text, V numbers: a list, a numpy array or a tensor.
        row_gradients: For each token the sum of squared norms of the loss gradient at its row, V numbers.
        gradient_metric: Mean of g gᵀ, g the loss gradient at the embedding output, H x H numbers.
        storage: How the embedding is stored: ``float32`` (the dtype of the model), ``float16``, ``int8``, ``int6``,
            ``int4``, ``int3`` or ``int2``; all but the first are not trained any more.
        storage_group: Numbers of a row that share a scale in ``int8`` to ``int2``: 32, 64, 128, or ``row`` for all.
        seed: Seed of methods that draw random numbers.
        **options: Options of the method, e.g. ``smoothing=1.0``; see conf/factorization/NAME.yaml.

    Returns:
        The same model.

    Raises:
        ValueError: With the remedy, if the model, the method, an option, the size or the evidence cannot be used; the
            model is then unchanged.
    """
    chosen, whole = _method(method, options), unwrapped(model)
    table = dense_table(whole)
    vocab_size, hidden_size = table.weight.shape
    evidence = Evidence(
        token_counts=_weights("token_counts", token_counts, vocab_size),
        row_gradients=_weights("row_gradients", row_gradients, vocab_size),
        gradient_metric=_metric(gradient_metric, hidden_size),
    )
    if missing := [k for k in get_args(EvidenceKind) if k in chosen.needs and getattr(evidence, k) is None]:
        given = ", ".join(f"{kind}=..." for kind in missing)
        raise UserError(f"{chosen.name} needs {' and '.join(missing)} (found none); pass {given}")
    _choice("storage", storage, get_args(StorageFormat))
    _choice("storage_group", storage_group, get_args(StorageGroup))
    kept = Storage(storage, storage_group)
    _choice("budget_unit", budget_unit, get_args(BudgetUnit))
    size = {"rank": _whole("rank", rank), "budget": _share("budget", budget), "energy": _share("energy", energy)}
    target = _target(chosen, size, budget_unit)
    if target is not None:
        target.check(chosen, vocab_size, hidden_size, kept, table.weight.element_size())
    with unchanged_on_error(whole):
        found = target.rank_of(chosen, table.weight, evidence, kept) if target else None
        replace_table(whole, chosen, found, evidence=evidence, seed=_seed(seed), storage=kept)
        store(whole, kept)
        own_save(whole)
    # Code that asks where this model comes from (PEFT adapters) must not be led to the dense one.
    whole.name_or_path = whole.config.name_or_path = ""
    return model


def save_pretrained(
    model: PreTrainedModel, directory: str | Path, tokenizer: PreTrainedTokenizerBase | None = None
) -> None:
    """Write a model, compressed or dense, to a directory: safetensors and JSON files, no pickle.

    The directory appears complete or not at all; an older model in it is replaced. `from_pretrained` reads it, and so
    does ``AutoModel....from_pretrained(directory, trust_remote_code=True)`` if embfact is installed.

    Args:
        model: A model of a transformers class.
        directory: Where to write.
        tokenizer: Its tokenizer, saved beside it.

    Raises:
        ValueError: If the class of the model could not be found again, or the directory holds something else.
    """
    if isinstance(tokenizer, PreTrainedTokenizerBase) and isinstance(unwrapped(model), PreTrainedModel):
        check_ids(tokenizer, unwrapped(model), f"this {type(unwrapped(model)).__name__}")
    checkpoint.save(model, tokenizer, directory)


def from_pretrained(directory: str | Path) -> PreTrainedModel:
    """The model of a directory that `save_pretrained` wrote, in evaluation mode, on the CPU.

    It has the class, the dtypes and the numbers of the saved one, and tied output layers are tied. Pickles are refused,
    and no code of the directory is run.

    Args:
        directory: The directory, which may have been moved.

    Raises:
        ValueError: If the directory is missing, incomplete or damaged.
    """
    if not isinstance(directory, str | Path):
        raise UserError(f"directory must be a path (found {directory!r}); give the directory of a saved model")
    model = checkpoint.load_model(directory)
    own_save(model)
    return model


def _method(method: str | Method, options: dict[str, Any]) -> Method:
    if isinstance(method, Method):
        if options:
            raise UserError(f"{method.name} already has its options; give {', '.join(options)} to its class instead")
        return method
    if not isinstance(method, str):
        raise UserError(f'method must be a name such as "svd", or a Method object (found {method!r})')
    kind = method_of(method)
    try:
        return kind.model_validate(options)
    except ValidationError as error:
        raise UserError(f"{method}: " + ", and ".join(map(str, errors_of(error, kind)))) from None


def _target(method: Method, size: dict[str, Any], unit: BudgetUnit) -> SizeTarget | None:
    if method.uses_rank:
        return SizeTarget(**size, unit=unit)
    if given := [name for name, value in size.items() if value is not None]:
        raise UserError(f"{method.name} has no size to choose; leave {', '.join(given)} out")
    return None


def _weights(name: str, values: Any, vocab_size: int) -> torch.Tensor | None:
    """Numbers of the tokens, shape ``(V,)``: not negative, and not all zero."""
    if values is None:
        return None
    weights = checked_weights(_numbers(name, values), vocab_size, name, "count with the tokenizer of this model")
    if not weights.any():
        raise UserError(f"{name} are all 0; count on text that has tokens of this vocabulary")
    return weights


def _metric(values: Any, hidden_size: int) -> torch.Tensor | None:
    """A symmetric matrix, shape ``(H, H)``."""
    if values is None:
        return None
    metric = _numbers("gradient_metric", values)
    if metric.shape != (hidden_size, hidden_size):
        raise UserError(
            f"gradient_metric must be a {hidden_size} x {hidden_size} matrix (found shape {tuple(metric.shape)}); "
            "take the gradients at the embedding output of this model"
        )
    if not torch.isfinite(metric).all() or (metric - metric.T).abs().max() > 1e-4 * metric.abs().max():
        raise UserError("gradient_metric must be finite and symmetric; compute the mean of g gᵀ in float64")
    return metric


def _numbers(name: str, values: Any) -> torch.Tensor:
    try:
        # Lists of Python numbers would otherwise become float32.
        exact = values if hasattr(values, "dtype") else torch.as_tensor(values, dtype=torch.float64)
        numbers = torch.as_tensor(exact).detach()
        if numbers.is_complex() or numbers.layout != torch.strided:
            raise TypeError(f"found {numbers.dtype}, {numbers.layout}")
        return numbers.to("cpu", torch.float64)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise UserError(f"{name} must be numbers ({error}); give a list, a numpy array or a tensor") from None


def _whole(name: str, value: Any) -> int | None:
    if value is None:
        return None
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)
    except TypeError:
        raise UserError(f"{name} must be a whole number (found {value!r}); give e.g. {name}=64") from None


def _seed(value: Any) -> int:
    seed = _whole("seed", value)
    if seed is None or not 0 <= seed < 2**32:
        raise UserError(f"seed must be a whole number from 0 to {2**32 - 1} (found {value!r})")
    return seed


def _share(name: str, value: Any) -> float | None:
    if value is None:
        return None
    try:
        if isinstance(value, bool | str):
            raise TypeError
        return float(value)
    except (TypeError, ValueError):
        raise UserError(f"{name} must be a share above 0 and at most 1, e.g. 0.1 (found {value!r})") from None


def _choice(name: str, value: Any, valid: tuple[str | int, ...]) -> None:
    if type(value) not in (str, int) or value not in valid:
        raise UserError(f"{name} has no choice {value!r}; {nearest(str(value), map(str, valid))}")
