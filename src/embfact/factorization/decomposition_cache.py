"""Each table is decomposed once: an earlier decomposition of the same numbers is found by a hash of them.

Hashing a table takes a hundredth of the time of its decomposition (2 ms for 30,522 x 384 numbers): XXH3 with 128 bits
runs at the speed of memory, and a private cache has no attackers. Decompositions stay in memory as long as they fit,
and on disk inside

    with kept_in(directory):
        embedding = SVD().fit(table, 64)
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import torch
import xxhash

from embfact.embeddings.low_rank import LowRankEmbedding
from embfact.factorization.block_krylov import randomized_pays
from embfact.factorization.decomposition import Axes, check_table, low_rank, principal_axes, project
from embfact.factorization.spectrum import Metric, Route, block_rows
from embfact.system.lock import built_once
from embfact.system.tensor_files import read_tensors, write_tensors

FORMAT = 1  # part of the keys: raise it when decompositions are computed or written differently
KEPT_BYTES = 2**25  # besides the newest one: a sweep asks for the ranks of one decomposition after another
# V H² of a decomposition that takes longer than reading it back: some tens of milliseconds.
WORTH_A_FILE = 10**9
LEAST_AXES = 32

_directory: ContextVar[Path | None] = ContextVar("directory of kept decompositions", default=None)
_kept: dict[str, Decomposition] = {}
_lock = Lock()


@dataclass
class Decomposition:
    """Axes of a table and the columns of A requested so far.

    Attributes:
        axes: Shared by all ranks.
        columns: The first columns of A, shape ``(V, n)``, in the table's dtype on the CPU.
    """

    axes: Axes
    columns: torch.Tensor

    @property
    def bytes(self) -> int:
        """Its memory."""
        tensors = {id(tensor): tensor for tensor in (self.axes.axes, self.axes.encoder, self.columns)}
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())

    def truncate(self, table: torch.Tensor, rank: int, padding_idx: int | None = None) -> LowRankEmbedding:
        """The factors of a rank: copies of the first columns of A and rows of B; see `decomposition.truncate`."""
        known = self.columns.shape[1]
        if known < rank:
            more = project(table, self.axes, known, rank)
            self.columns = torch.cat([self.columns, more], dim=1) if known else more
        return low_rank(table, self.axes, self.columns, rank, padding_idx)


@contextmanager
def kept_in(directory: str | os.PathLike[str]) -> Iterator[None]:
    """Share decompositions with other processes and later runs through files in a directory.

    The directory is created with the first file. Files are written atomically; a damaged one is computed again. Tables
    that are decomposed faster than read are not written.
    """
    token = _directory.set(Path(directory).expanduser())
    try:
        yield
    finally:
        _directory.reset(token)


def forget() -> None:
    """Drop all decompositions from memory."""
    with _lock:
        _kept.clear()


def decompose(
    table: torch.Tensor,
    row_weights: torch.Tensor | None = None,
    route: Route = "auto",
    *,
    metric: Metric | None = None,
    center: bool = False,
    rank: int | None = None,
    seed: int = 0,
) -> Decomposition:
    """The decomposition of a table by `principal_axes`, from memory or disk if the same was requested before.

    The arguments are those of `principal_axes`, but for ``rank``, the largest rank that is needed (None for all). A
    ``randomized`` route serves the ranks up to the next power of two.

    Raises:
        ValueError: If the table is not finite, which is checked if its numbers were not seen before.
    """
    hidden_size = table.shape[1]
    count = None if rank is None else max(LEAST_AXES, 1 << (rank - 1).bit_length())
    if route == "randomized" and (count is None or not randomized_pays(hidden_size, count)):
        route = "auto"
    if route == "auto" and table.dtype != torch.float64:
        route = "gram"  # the same computation, so evd shares the result
    if route != "randomized":
        count, seed = None, 0
    key = _key(table, row_weights, metric, f"{FORMAT} {route} {center} {count} {seed}")
    with _lock:
        found = _kept.pop(key, None)
    if found is None:
        check_table(table)

        def compute() -> Axes:
            return principal_axes(table, row_weights, route, metric=metric, center=center, count=count, seed=seed)

        directory = _directory.get() if len(table) * hidden_size**2 >= WORTH_A_FILE else None
        axes = _from_file(directory / f"{key}.safetensors", compute) if directory else compute()
        found = Decomposition(axes, torch.empty(len(table), 0, dtype=table.dtype))
    with _lock:
        _kept[key] = found
        while len(_kept) > 1 and sum(kept.bytes for kept in _kept.values()) > KEPT_BYTES:
            _kept.pop(next(iter(_kept)))  # the oldest
    return found


def _key(table: torch.Tensor, row_weights: torch.Tensor | None, metric: Metric | None, words: str) -> str:
    digest = xxhash.xxh3_128(words.encode())
    for tensor in (table, row_weights, None if metric is None else metric.root):
        digest.update(b"none" if tensor is None else f"{tensor.dtype} {tuple(tensor.shape)}".encode())
        for rows in () if tensor is None else tensor.detach().split(block_rows(table)):
            digest.update(rows.to("cpu").contiguous().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _from_file(path: Path, compute: Callable[[], Axes]) -> Axes:
    """The axes in a file, which the first process that asks computes and writes."""
    axes = _read(path)
    if axes is None:
        with built_once(path):
            axes = _read(path)
            if axes is None:
                axes = compute()
                _write(path, axes)
    return axes


def _write(path: Path, axes: Axes) -> None:
    scalars = torch.tensor([axes.norm, axes.remainder], dtype=torch.float64)
    tensors = {"energies": axes.energies, "axes": axes.axes, "scalars": scalars}
    if axes.encoder is not axes.axes:
        tensors["encoder"] = axes.encoder
    if axes.mean is not None:
        tensors["mean"] = axes.mean
    write_tensors(path, {name: tensor.contiguous() for name, tensor in tensors.items()})


def _read(path: Path) -> Axes | None:
    """The content of a file; None if it is missing or damaged."""
    tensors = read_tensors(path)
    if tensors is None:
        return None
    norm, remainder = tensors["scalars"].tolist()
    encoder = tensors.get("encoder", tensors["axes"])
    return Axes(tensors["energies"], tensors["axes"], encoder, tensors.get("mean"), norm, remainder)
