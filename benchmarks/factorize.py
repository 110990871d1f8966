"""How fast and how exact is `svd`? Side by side in one run with numpy, and its routes with each other.

    python benchmarks/factorize.py            # all of it: some minutes, 7 GB of memory, 2.1 GB of disk for a while
    python benchmarks/factorize.py --quick    # the same on small tables: shows in seconds that it works

Times are medians of whole `SVD().fit` calls, the check of the table and the cast to float32 included; the excess is
that of the truncation error over the optimum, in float64 before that cast.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from embfact.factorization.decomposition import principal_axes
from embfact.factorization.decomposition_cache import decompose, forget
from embfact.factorization.svd import SVD
from embfact.system.resources import peak_memory, reset_peak_memory

BLOCK_COLUMNS = 128


@dataclass(frozen=True)
class Sizes:
    """What is measured.

    Attributes:
        tables: Shapes of the tables that are compared with numpy; the first is MiniLM's, if it is the real shape.
        rank: Rank of those.
        ranks: Ranks that are fitted one after another.
        large: Shape of the synthetic table with singular values ∝ i^-1/2.
        large_rank: Rank of that.
    """

    tables: tuple[tuple[int, int], ...] = ((30522, 384), (30522, 768))
    rank: int = 128
    ranks: tuple[int, ...] = (16, 32, 64, 128, 256)
    large: tuple[int, int] = (128256, 4096)
    large_rank: int = 128


QUICK = Sizes(((3000, 48), (3000, 96)), 16, (2, 4, 8, 16, 32), (6000, 512), 16)


def main() -> None:
    """Print one Markdown table for each question."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small tables")
    parser.add_argument("--repeats", type=int, default=5, help="times that each measurement is taken, 3 or more")
    parser.add_argument("--threads", type=int, help="threads of torch; the others are set by OMP_NUM_THREADS")
    parser.add_argument("--child", nargs=3, metavar=("ROUTE", "FILE", "RANK"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    if arguments.child:
        route, path, rank = arguments.child
        print(json.dumps(fit_alone(route, Path(path), int(rank))))
        return
    if arguments.repeats < 3:
        parser.error("--repeats must be 3 or more, for a median")
    sizes = QUICK if arguments.quick else Sizes()
    print(f"{os.cpu_count()} cores, {torch.get_num_threads()} threads of torch {torch.__version__}\n")
    tables = {f"{v:,} x {h}": table_of(v, h) for v, h in sizes.tables}
    compare_with_numpy(tables, sizes.rank, arguments.repeats)
    compare_ranks(tables, sizes.ranks, arguments.repeats)
    compare_routes(*sizes.large, sizes.large_rank, arguments.threads)


def table_of(vocab_size: int, hidden_size: int) -> torch.Tensor:
    """MiniLM's table where that has the shape, and normal numbers elsewhere; float32."""
    if (vocab_size, hidden_size) == (30522, 384):
        from transformers import AutoModel

        from embfact.models.backbones import resolve

        model = AutoModel.from_pretrained(resolve("packaged:minilm"))
        return model.get_input_embeddings().weight.detach().clone()
    return torch.randn(vocab_size, hidden_size, generator=torch.Generator().manual_seed(0))


def compare_with_numpy(tables: dict[str, torch.Tensor], rank: int, repeats: int) -> None:
    """`svd` against `numpy.linalg.svd(full_matrices=False)`, in turn."""
    print(f"| table, rank {rank} | numpy.linalg.svd s | svd s | times as fast | excess over the optimum |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, table in tables.items():
        array = table.numpy()
        theirs, ours = in_turn(
            repeats, lambda array=array: np.linalg.svd(array, full_matrices=False), lambda table=table: fit(table, rank)
        )
        optimum = np.linalg.norm(np.linalg.svd(array.astype(np.float64), compute_uv=False)[rank:])
        excess = error_of(table, principal_axes(table).axes[:rank]) / optimum - 1
        print(f"| {name} | {theirs:.3f} | {ours:.3f} | {theirs / ours:.1f} | {excess:.1e} |", flush=True)
    print()


def compare_ranks(tables: dict[str, torch.Tensor], ranks: tuple[int, ...], repeats: int) -> None:
    """Several ranks of one table against the largest of them alone."""
    largest = max(ranks)
    words = ", ".join(map(str, ranks))
    print(f"| table | rank {largest} s | ranks {words} s | times as long | one more rank s |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, table in tables.items():
        known = lambda table=table: SVD().fit(table, ranks[0])  # noqa: E731 (measured as the others are)
        one, all_of_them, known_seconds = in_turn(
            repeats, lambda table=table: fit(table, largest), lambda table=table: fit(table, *ranks), known
        )
        ratio = all_of_them / one
        print(f"| {name} | {one:.3f} | {all_of_them:.3f} | {ratio:.2f} | {known_seconds:.4f} |", flush=True)
    print()


def compare_routes(vocab_size: int, hidden_size: int, rank: int, threads: int | None) -> None:
    """The exact road in blocks and the randomized one on a large table, each in a process of its own."""
    spectrum = np.arange(1, hidden_size + 1) ** -0.5
    optimum = np.linalg.norm(spectrum[rank:])
    table = f"{vocab_size:,} x {hidden_size}, singular values ∝ i^-1/2, rank {rank}"
    print(f"| {table} | s | times as fast | excess | peak GB |")
    print("| --- | ---: | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.npy"
        write_synthetic(path, vocab_size, spectrum)
        slowest = None
        for route in ("gram", "randomized"):
            command = [sys.executable, __file__, "--child", route, str(path), str(rank)]
            command += ["--threads", str(threads)] if threads else []
            found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            slowest = slowest or found["seconds"]
            ratio, excess = slowest / found["seconds"], found["error"] / optimum - 1
            print(
                f"| {route} | {found['seconds']:.2f} | {ratio:.1f} | {excess:.1e} | {found['peak'] / 1e9:.2f} |",
                flush=True,
            )


def fit_alone(route: str, path: Path, rank: int) -> dict[str, float]:
    """Seconds, peak memory (the table and the libraries included) and error of one route."""
    reset_peak_memory()
    table = torch.from_numpy(np.load(path))
    method = SVD(route=route)  # type: ignore[arg-type]
    start = time.perf_counter()
    method.fit(table, rank)
    seconds, peak = time.perf_counter() - start, peak_memory()
    axes = decompose(table, route=route, rank=rank).axes  # type: ignore[arg-type]
    return {"seconds": seconds, "peak": peak, "error": error_of(table, axes.axes[:rank])}


def write_synthetic(path: Path, vocab_size: int, spectrum: np.ndarray) -> None:
    """A table C D S Q in a file: C a cosine transform, D random signs, S the singular values, Q random orthogonal.

    It has exactly these singular values, and takes a tenth of the time of a product with V x H orthonormal columns.
    """
    from scipy.fft import dct

    draw, hidden_size = np.random.default_rng(0), len(spectrum)
    right = np.linalg.qr(draw.standard_normal((hidden_size, hidden_size)))[0] * spectrum[:, None]
    places = draw.choice(vocab_size, hidden_size, replace=False)
    signs = draw.choice([-1.0, 1.0], (vocab_size, 1))
    table = np.lib.format.open_memmap(path, "w+", np.float32, (vocab_size, hidden_size))
    for start in range(0, hidden_size, BLOCK_COLUMNS):
        columns = slice(start, start + BLOCK_COLUMNS)
        block = np.zeros((vocab_size, right[:, columns].shape[1]), np.float32)
        block[places] = right[:, columns]
        table[:, columns] = signs * dct(block, axis=0, norm="ortho", overwrite_x=True)
    table.flush()


def fit(table: torch.Tensor, *ranks: int) -> None:
    """Fit a table that was never seen before, at each rank."""
    forget()
    for rank in ranks:
        SVD().fit(table, rank)


def in_turn(repeats: int, *measured: Callable[[], Any]) -> list[float]:
    """Median seconds of each, taken in turn so that a busy moment of the machine meets them all."""
    seconds: list[list[float]] = [[] for _ in measured]
    for _ in range(repeats):
        for call, times in zip(measured, seconds, strict=True):
            start = time.perf_counter()
            call()
            times.append(time.perf_counter() - start)
    return [median(times) for times in seconds]


def error_of(table: torch.Tensor, axes: torch.Tensor) -> float:
    """Frobenius norm of W - W Bᵀ B in float64, some rows at a time."""
    axes = axes.double()
    missed = [(rows - rows @ axes.T @ axes).square().sum() for rows in map(torch.Tensor.double, table.split(4096))]
    return float(torch.stack(missed).sum().sqrt())


if __name__ == "__main__":
    main()
