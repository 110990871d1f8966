"""Made-up records, as a run writes them."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from embfact.runs.record import RunRecord

VOCAB, HIDDEN, BACKBONE = 30522, 384, 10_990_000


def make_values(
    method: str = "svd",
    rank: int | None = 64,
    seed: int = 0,
    data: str = "sst2",
    metrics: dict[str, dict[str, float | None]] | None = None,
    error: str | None = None,
    options: dict[str, Any] | None = None,
    storage: str = "float32",
    quantization: str | None = "post_training",
    asked: str | None = None,
    size_name: str = "rank",
    **changes: Any,
) -> dict[str, Any]:
    """The values of a record.

    ``asked`` is the size as it was asked for, where that was no rank; ``options`` are scientific options, ``changes``
    replace whole fields of ``data``.
    """
    dense = VOCAB * HIDDEN
    small = dense if rank is None else rank * (VOCAB + HIDDEN)
    item = {"float32": 4, "float16": 2}.get(storage) or int(storage.removeprefix("int")) / 8
    asked = asked or (None if rank is None else f"r{rank}")
    kept = None if storage == "float32" else storage
    quantization = kept and quantization
    data_part = {"name": data, "origin": "made up", "fingerprint": hashlib.sha256(data.encode()).hexdigest()}
    data_part |= {"rows": {"train": 8000, "selection": 1000, "validation": 872}, "metrics": ["accuracy"]} | changes
    science = {
        "data": {"max_length": 128},
        "optimizer": {"lr": 2e-5},
        "trainer": {"epochs": 3},
        "method": method,
        "size": asked,
        "storage": storage,
        "quantization": quantization,
        "seed": seed,
        "data_fingerprint": data_part["fingerprint"],
        "model_fingerprint": "ab" * 32,
        "versions": {"torch": "2"},
    } | (options or {})
    digest = hashlib.sha256(json.dumps([data, data_part, science], sort_keys=True).encode()).hexdigest()
    size = "-".join(word for word in (asked, kept) if word) or None
    name = "-".join([data, "minilm", method, *([size] if size else []), f"s{seed}", digest[:8]])
    small_bytes = int(small * item)
    sizes = {
        "embedding": {"parameters": small, "bytes": small_bytes},
        "model": {"parameters": small + BACKBONE, "bytes": small_bytes + 4 * BACKBONE},
        "dense": {
            "embedding": {"parameters": dense, "bytes": 4 * dense},
            "model": {"parameters": dense + BACKBONE, "bytes": 4 * (dense + BACKBONE)},
        },
    }
    failed = error is not None
    return {
        "schema_version": 1,
        "name": name,
        "hash": digest,
        "status": "failed" if failed else "finished",
        "experiment": "made_up",
        "tags": [],
        "started": "2025-01-02T03:04:05Z",
        "config": {"seed": seed, "rank": rank},
        "science": science,
        "seed": seed,
        "data": data_part,
        "model": {"name": "minilm", "fingerprint": "ab" * 32},
        "method": {"name": method, "rank": rank, "size": size, "storage": storage, "quantization": quantization}
        | {"size_name": size_name},
        "size": None if failed else sizes,
        "metrics": {} if failed else metrics or {"validation": {"accuracy": 0.9 + seed / 100}},
        "training": None
        if failed
        else {"steps": 750, "epochs": 3, "threads": 2, "device": "cpu", "precision": "32-true"},
        "seconds": {"data": 1.5, "training": 40.0, "total": 50.0},
        "versions": {"torch": "2.13.0"},
        "error": {"type": "RuntimeError", "message": error} if failed else None,
    }


def make_record(*args: Any, **kwargs: Any) -> RunRecord:
    """A record: see `make_values`."""
    return RunRecord.model_validate(make_values(*args, **kwargs))
