"""Which groups, and which scheme of int4 and int8, leave the least error of a token table for their bytes?

    EMBFACT_DATA_DIR=... python benchmarks/storage.py --table smollm2=smollm2.npy    # some minutes
    python benchmarks/storage.py --quick                                             # few rows: shows that it works

MiniLM's table is weighted by the tokens of SST-2's training rows, which EMBFACT_DATA_DIR has; the others by Zipf's law,
1 over the place of a row: GloVe's words are in the order of their frequency, and so are, nearly, the merges of a
byte-pair encoding. docs/results/storage.md says where SmolLM2's table comes from.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import geometric_mean
from typing import get_args

import numpy as np
import pyarrow.parquet as pq
import torch
from safetensors import safe_open
from side_by_side import table
from tokenizers import Tokenizer
from torch.nn import functional

from embfact.embeddings.layout import SCALE_BYTES, Storage, StorageFormat, StorageGroup, packed_bytes
from embfact.embeddings.quantization import dequantize, quantize
from embfact.models.backbones import resolve

CLIPS = [1 - 0.05 * step for step in range(11)]
BLOCK_ROWS = 8192


@dataclass(frozen=True)
class Scheme:
    """A way to make codes.

    Attributes:
        name: What the table calls it.
        rounded: Numbers as they come back, of groups ``(rows, groups, size)`` and bits.
        beside: Bytes of a row that are no codes, of groups and bits.
    """

    name: str
    rounded: Callable[[torch.Tensor, int], torch.Tensor]
    beside: Callable[[int, int], int]


def largest(numbers: torch.Tensor, bits: int) -> torch.Tensor:
    """Symmetric: the largest number gets the last code, as a row did before there were groups."""
    last = 2 ** (bits - 1) - 1
    return symmetric(numbers, [numbers.abs().amax(-1, keepdim=True) / last], -last, last)


def signed(numbers: torch.Tensor, bits: int) -> torch.Tensor:
    """Symmetric and searched, the sign of the scale such that the largest number lies on the longer side of zero."""
    peak = numbers.gather(-1, numbers.abs().argmax(-1, keepdim=True))
    half = 2 ** (bits - 1)
    return symmetric(numbers, [-peak * clip / half for clip in CLIPS], -half, half - 1)


def symmetric(numbers: torch.Tensor, scales: Iterable[torch.Tensor], low: int, high: int) -> torch.Tensor:
    """Codes times the best of some scales."""
    ways = []
    for scale in (spec.half().float() for spec in scales):
        ways.append((numbers / torch.where(scale == 0, 1, scale)).round_().clamp_(low, high).mul_(scale))
    return best(numbers, ways)


def extremes(numbers: torch.Tensor, bits: int) -> torch.Tensor:
    """Asymmetric: a zero point, the range as it is."""
    return ranged(numbers, bits, [1.0], with_minimum=False)


def minimum(numbers: torch.Tensor, bits: int) -> torch.Tensor:
    """Asymmetric and searched: the lowest number of the range as a float16 in the place of a zero point."""
    return ranged(numbers, bits, CLIPS, with_minimum=True)


def ranged(numbers: torch.Tensor, bits: int, clips: list[float], *, with_minimum: bool) -> torch.Tensor:
    """Codes from the lowest to the highest number, clipped about the middle."""
    steps, ways = 2**bits - 1, []
    low, high = numbers.amin(-1, keepdim=True), numbers.amax(-1, keepdim=True)
    if not with_minimum:
        low, high = low.clamp(max=0), high.clamp(min=0)
    for clip in clips:
        start = (low + high) / 2 - (high - low) / 2 * clip
        scale = ((high - low) * clip / steps).half().float()
        divisor = torch.where(scale == 0, 1, scale)
        start = start.half().float() if with_minimum else -(-start / divisor).round().clamp(0, steps) * scale
        ways.append(((numbers - start) / divisor).round_().clamp_(0, steps).mul_(scale).add_(start))
    return best(numbers, ways)


def best(numbers: torch.Tensor, ways: list[torch.Tensor]) -> torch.Tensor:
    """Of each group the way with the least squared error."""
    errors = torch.stack([(way - numbers).square().sum(-1) for way in ways])
    return torch.stack(ways).gather(0, errors.argmin(0)[None, ..., None].expand(1, *numbers.shape))[0]


def zero_point_bytes(groups: int, bits: int) -> int:
    """A scale and a zero point."""
    return SCALE_BYTES * groups + packed_bytes(groups, bits)


# The searched zero points are embfact's own: see `errors_of`.
SEARCHED = "zero point, search"
SCHEMES = (
    Scheme("symmetric, largest", largest, lambda groups, bits: SCALE_BYTES * groups),
    Scheme("symmetric, search", signed, lambda groups, bits: SCALE_BYTES * groups),
    Scheme("zero point, extremes", extremes, zero_point_bytes),
    Scheme(SEARCHED, lambda numbers, bits: numbers, zero_point_bytes),
    Scheme("minimum, search", minimum, lambda groups, bits: 2 * SCALE_BYTES * groups),
)


def main() -> None:
    """Print a Markdown table for each token table, and one of all of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = "a further table, V x H, that is published in 8 bits: it is measured in int4 alone"
    parser.add_argument("--table", action="append", default=[], metavar="NAME=FILE.npy", help=what)
    parser.add_argument("--quick", action="store_true", help="512 rows of each table")
    arguments = parser.parse_args()
    rows: int | None = 512 if arguments.quick else None
    scores: dict[tuple[str, ...], list[tuple[float, float]]] = {}
    for name, weight, counts, told in tables(arguments.table):
        every = max(1, len(weight) // rows) if rows else 1
        formats = ["int8", "int4"] if name in ("minilm", "glove") else ["int4"]
        measure(f"{name}, {told}", weight[::every].contiguous(), counts[::every], formats, scores)
    print(
        f"\nGeometric means of {max(map(len, scores.values()))} tables, of {min(map(len, scores.values()))} in int8\n"
    )
    lines = [
        [*way, *(f"{geometric_mean(ways):.3g}" for ways in zip(*found, strict=True))] for way, found in scores.items()
    ]
    print(table(["format", "group", "scheme", "error at equal bytes", "weighted"], lines))


def tables(more: list[str]) -> Iterable[tuple[str, torch.Tensor, torch.Tensor, str]]:
    """Name, numbers, counts of the rows, and what these are."""
    path = resolve("packaged:minilm")
    with safe_open(path / "model.safetensors", "pt") as file:
        (key,) = (key for key in file.keys() if "word_embeddings" in key)  # noqa: SIM118
        weight = file.get_tensor(key).float()
    if "EMBFACT_DATA_DIR" in os.environ:
        yield "minilm", weight, counts_of(path, len(weight)), "weighted by the training rows of sst2"
    else:
        yield "minilm", weight, zipf(len(weight)), "weighted by Zipf's law"
    words = np.load(next(resolve("packaged:glove").glob("*.npy")))
    yield "glove", torch.from_numpy(words).float(), zipf(len(words)), "weighted by Zipf's law"
    for name, _, place in (text.partition("=") for text in more):
        numbers = torch.from_numpy(np.load(place)).float()
        yield name, numbers, zipf(len(numbers)), "weighted by Zipf's law"


def zipf(rows: int) -> torch.Tensor:
    """1, 1/2, 1/3, ..."""
    return 1 / torch.arange(1, rows + 1, dtype=torch.float64)


def counts_of(backbone: Path, vocab_size: int) -> torch.Tensor:
    """Occurrences of each token in the training rows of SST-2."""
    texts = pq.read_table(Path(os.environ["EMBFACT_DATA_DIR"]) / "glue" / "sst2" / "train.parquet").column("sentence")
    tokenizer = Tokenizer.from_file(str(backbone / "tokenizer.json"))
    tokenizer.no_padding()
    ids = np.concatenate([encoding.ids for encoding in tokenizer.encode_batch(texts.to_pylist())])
    return torch.from_numpy(np.bincount(ids, minlength=vocab_size)).double()


def measure(
    title: str,
    weight: torch.Tensor,
    counts: torch.Tensor,
    formats: list[StorageFormat],
    scores: dict[tuple[str, ...], list[tuple[float, float]]],
) -> None:
    """Print the errors of one table, and add them to the scores."""
    width, lines = weight.shape[1], []
    for name in formats:
        for group in get_args(StorageGroup):
            storage = Storage(name, group)
            for scheme in SCHEMES:
                share = storage.bits / 8 + scheme.beside(storage.groups(width), storage.bits) / width
                found = errors_of(scheme, storage, weight, counts)
                # One bit more halves the steps, and so leaves a quarter of the error.
                level = [error * 4 ** (8 * share - storage.bits) for error in found]
                scores.setdefault((name, str(group), scheme.name), []).append((level[0], level[1]))
                figures = [f"{error:.3g}" for error in (*found, *level)]
                lines.append([name, group, scheme.name, f"{8 * share:.3f}", *figures])
    print(f"\n{title} ({len(weight):,} x {width})\n")
    head = ["format", "group", "scheme", "bits a number", "error", "weighted", "error at equal bytes", "weighted"]
    print(table(head, lines), flush=True)


def errors_of(scheme: Scheme, storage: Storage, weight: torch.Tensor, counts: torch.Tensor) -> tuple[float, float]:
    """Squared error over squared norm, plain and with each row weighted by its count."""
    width = weight.shape[1]
    size, groups = storage.group_size(width), storage.groups(width)
    sums = torch.zeros(4, dtype=torch.float64)
    for block, count in zip(weight.split(BLOCK_ROWS), counts.split(BLOCK_ROWS), strict=True):
        if scheme.name == SEARCHED:
            back = dequantize(quantize(block, storage), storage, width)
        else:
            filled = functional.pad(block, (0, groups * size - width)).unflatten(-1, (groups, size))
            back = scheme.rounded(filled, storage.bits).flatten(-2)[:, :width]
        error, norm = (back - block).double().square().sum(1), block.double().square().sum(1)
        sums += torch.stack([error.sum(), norm.sum(), count @ error, count @ norm])
    return (sums[0] / sums[1]).item(), (sums[2] / sums[3]).item()


if __name__ == "__main__":
    main()
