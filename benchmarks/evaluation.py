"""How fast is scoring a whole split? `embfact.inference.scoring.predict` against the loop that one writes first.

    EMBFACT_DATA_DIR=... python benchmarks/evaluation.py    # the 872 rows of SST-2's validation: two minutes
    python benchmarks/evaluation.py --quick                 # a few short texts and a tiny model: shows that it works

The same weights (the table factorized by svd, the head random), the same tokens and the same padding to the longest of
a batch; the loop takes 32 rows at a time in the order of the file, with the model as transformers makes it.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

import numpy as np
from baselines import prepare
from side_by_side import ROUNDS, in_turn, machine, ratio, repeats, table

ROWS_AT_ONCE = 32
TOLERANCE = 1e-4  # between logits of one row in batches of other widths
FULL = ["model=minilm", "data=sst2", "data.train_size=100", "rank=64"]
QUICK = ["model=bert_scratch", "data=vader", "data.train_size=100", "data.eval_size=100", "rank=8"]


@dataclass(frozen=True)
class Scored:
    """Seconds of a pass over all rows, and its logits ``(rows, outputs)``."""

    seconds: float
    logits: np.ndarray


def main() -> None:
    """Print a table of the ways, and how far their logits lie apart."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=repeats, default=5, help=f"times of each, {ROUNDS} or more")
    parser.add_argument("--quick", action="store_true", help="a few short texts and a tiny model")
    arguments = parser.parse_args()
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        words = ["factorization=svd", "logger=none", "data.selection_size=0", "checkpoint=last"]
        work = prepare([*words, *(QUICK if arguments.quick else FULL), f"paths.cache_dir={folder}"])
        rows = next(iter(work.start.splits.reports.values()))
        ways = ways_of(work, rows)
        for way in ways.values():  # memory is taken and threads are started in the first pass
            way()
        found = in_turn(ways, arguments.rounds)
    difference = check(found)
    print(f"{len(rows):,} rows of {work.config.data.name}, {rows.lengths.mean():.1f} tokens each\n")
    report(found, len(rows))
    print(f"\nlargest difference between logits of a row: {difference:.1e}")


def ways_of(work: Any, rows: Any) -> dict[str, Callable[[], Scored]]:
    """What is compared, ours last."""
    import torch

    from embfact.inference.scoring import predict

    pad = work.start.tokenizer.pad_token_id
    plain = plain_model(work)
    ours = partial(predict, work.start.model, rows, pad_token_id=pad, batch_size=work.config.trainer.eval_batch_size)
    return {
        "loop, torch.no_grad": partial(timed, partial(loop, plain, rows, pad, torch.no_grad)),
        "loop, torch.inference_mode": partial(timed, partial(loop, plain, rows, pad, torch.inference_mode)),
        "embfact": partial(timed, ours),
    }


def plain_model(work: Any) -> Any:
    """The classifier as transformers makes it, with its table factorized and the weights of ours."""
    import embfact
    from embfact.config.run_config import RunConfig

    config: RunConfig = work.config
    model = type(work.start.model)(bare_config(work.start.model.config))
    assert config.target is not None
    embfact.compress(model, config.factorization, rank=config.target.rank)
    model.load_state_dict(work.start.model.state_dict())
    return model.eval()


def bare_config(config: Any) -> Any:
    """A copy of a model's configuration that knows nothing of a factorized table."""
    return type(config)(**{name: value for name, value in config.to_dict().items() if name != "embfact"})


def loop(model: Any, rows: Any, pad_token_id: int, without_gradients: Callable[[], Any]) -> np.ndarray:
    """Logits of all rows, a batch after the other as they come."""
    from embfact.data.batches import collate

    scores = []
    with without_gradients():
        for start in range(0, len(rows), ROWS_AT_ONCE):
            batch = collate(rows, range(start, min(start + ROWS_AT_ONCE, len(rows))), pad_token_id)
            batch.pop("labels", None)
            scores.append(model(**batch).logits.numpy())
    return np.concatenate(scores)


def timed(way: Callable[[], np.ndarray]) -> Scored:
    """One pass."""
    start = time.perf_counter()
    logits = way()
    return Scored(time.perf_counter() - start, logits)


def check(found: dict[str, list[Scored]]) -> float:
    """The largest difference between logits of a row by any two passes.

    Raises:
        SystemExit: If it is more than rounding.
    """
    logits = np.stack([one.logits for passes in found.values() for one in passes])
    difference = float((logits.max(axis=0) - logits.min(axis=0)).max())
    if not difference <= TOLERANCE:
        raise SystemExit(f"the ways give other logits: they differ by {difference:.1e}, more than {TOLERANCE:.0e}")
    return difference


def report(found: dict[str, list[Scored]], count: int) -> None:
    """Print the table; the first way is what the others are compared with."""
    seconds = {way: [one.seconds for one in passes] for way, passes in found.items()}
    usual = next(iter(seconds.values()))
    rows = [
        (way, f"{median(own):.2f}", f"{count / median(own):.0f}", f"{ratio(usual, own):.2f}")
        for way, own in seconds.items()
    ]
    print(table(["scoring", "median s", "sentences/s", "times as fast"], rows))


if __name__ == "__main__":
    main()
