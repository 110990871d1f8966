"""Is a run of embfact as accurate as what people would otherwise do? Against transformers' own Trainer, over seeds.

Same rows, same backbone, same head, same learning rate, schedule and number of steps; each with its own loop:

    EMBFACT_DATA_DIR=... python benchmarks/accuracy.py --data sst2 --train-size 8000 --seeds 0 1 2 3 4
    EMBFACT_DATA_DIR=... python benchmarks/accuracy.py trainer.batching=rows --seeds 0 1 2
    python benchmarks/accuracy.py --quick
"""

from __future__ import annotations

import argparse
import logging
import os
import tempfile
from collections.abc import Sequence
from typing import Any

from baselines import compose, dataset_of, prepare, require_trainer, trainer_of
from side_by_side import machine, table

from embfact.config.run_config import RunConfig


def main() -> None:
    """Print the figure of both for every seed, and the interval of the paired difference of their means."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="sst2", help="a data set of conf/data")
    parser.add_argument("--train-size", type=int, default=8000, help="training rows")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--quick", action="store_true", help="a few steps on the embedded data set, two seeds")
    parser.add_argument("words", nargs="*", help="more overrides, e.g. factorization=svd rank=64")
    arguments = parser.parse_args()
    require_trainer()
    words = [f"data={arguments.data}", f"data.train_size={arguments.train_size}", "factorization=none"]
    if arguments.quick:
        words, arguments.seeds = ["debug=fast", "model=bert_scratch", "data=vader", "factorization=none"], [0, 1]
    words += ["logger=none", "checkpoint=last", "trainer.epochs=1", f"trainer.threads={arguments.threads}"]
    words += arguments.words
    logging.disable(logging.WARNING)  # what Lightning says of each training
    print(f"{machine()}\n", flush=True)
    pairs = []
    for seed in arguments.seeds:
        with tempfile.TemporaryDirectory() as folder:
            mine = [*words, f"seed={seed}", f"output_dir={folder}"]
            pairs.append((with_embfact(compose(mine)), with_trainer(mine, folder)))
        print(f"seed {seed}: embfact {100 * pairs[-1][0]:.2f}, Trainer {100 * pairs[-1][1]:.2f}", flush=True)
    report(pairs)


def report(pairs: Sequence[tuple[float, float]]) -> None:
    """Print means, and the 95 % interval of the paired difference by Student's t."""
    import numpy as np
    from scipy.stats import t

    ours, theirs = 100 * np.array(pairs).T
    difference, seeds = ours - theirs, len(pairs)
    half = t.ppf(0.975, seeds - 1) * difference.std(ddof=1) / np.sqrt(seeds)
    spread = [f"{figures.mean():.2f} ± {figures.std(ddof=1):.2f}" for figures in (ours, theirs)]
    interval = f"{difference.mean():+.2f} ({difference.mean() - half:+.2f} to {difference.mean() + half:+.2f})"
    print("\n" + table(["seeds", "embfact", "Trainer", "difference, points (95 %)"], [[seeds, *spread, interval]]))


def with_embfact(config: RunConfig) -> float:
    """First metric of the first reported split after a run of ours."""
    from embfact.launchers.work import do_run
    from embfact.sweep.planner import make_plan

    outcome = do_run(make_plan([config])[0])
    if outcome.record is None or outcome.state != "finished":
        raise SystemExit(f"the run of embfact ended badly: {outcome.message}")
    return first_figure(config, outcome.record.metrics)


def first_figure(config: RunConfig, metrics: dict[str, Any]) -> float:
    """The figure that is compared."""
    return float(metrics[config.data.report_splits[0]][config.data.metrics[0]])


def with_trainer(words: Sequence[str], folder: str) -> float:
    """The same figure after fine-tuning with transformers' Trainer, on batches of like length."""
    from transformers import set_seed

    from embfact.tasks.metrics import score

    work = prepare(words)
    set_seed(work.config.seed)
    trainer = trainer_of(work, folder, "grouped", max_steps=work.config.trainer.max_steps or -1)
    trainer.train()
    split = work.config.data.report_splits[0]
    found = trainer.predict(dataset_of(work.start.splits.reports[split]))
    return first_figure(work.config, {split: score(work.config.data.metrics, found.predictions, found.label_ids)})


if __name__ == "__main__":
    main()
