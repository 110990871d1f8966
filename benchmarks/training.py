"""How fast does embfact train, against transformers' Trainer and against a bare PyTorch loop?

    EMBFACT_DATA_DIR=... python benchmarks/training.py                       # 8,000 sentences of SST-2
    EMBFACT_DATA_DIR=... python benchmarks/training.py --data imdb --steps 15 --padded-steps 0
    python benchmarks/training.py --quick                                    # a tiny model: shows that it works

Same rows, tokenised before; the same model, dropout, rows a step, optimizer (fused AdamW), clipping and schedule. All
ways take turns in one process, each with the speed of a matrix product measured beside it. The clock runs over the
steps alone: not over imports, nor over what is scored after them. embfact has W&B's offline logger and its bar on.
"""

from __future__ import annotations

import argparse
import io
import logging
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

from baselines import Sampling, Workload, prepare, require_trainer, trainer_of
from side_by_side import ROUNDS, gemm_speed, in_turn, machine, ratio, repeats, table

BEST = "Trainer, grouped by length, fused AdamW"
PADDED = "Trainer, every row padded to max_length"
DYNAMIC = "Trainer, random batches, padded to their longest row"
BARE = "bare loop, embfact's batches and kernels"
OURS = "embfact"


@dataclass(frozen=True)
class Speed:
    """One measurement.

    Attributes:
        seconds: Of the steps.
        rows: Trained on.
        tokens: Of those rows, without padding.
        utilisation: FLOPs of these tokens in those seconds, as a share of what the machine did in a matrix product.
    """

    seconds: float
    rows: int
    tokens: int
    utilisation: float


class Terminal(io.StringIO):
    """A place for progress bars that says it is a terminal."""

    def isatty(self) -> bool:
        """Bars are drawn for terminals alone."""
        return True


def main() -> None:
    """Print a table for dropout as the backbone has it, and one without."""
    arguments = parse()
    logging.disable(logging.WARNING)  # what Lightning says of each training
    if not arguments.quick:
        require_trainer()
    print(machine(), flush=True)
    words = ["debug=fast", "model=bert_scratch"] if arguments.quick else []
    words = [f"data={arguments.data}", "logger=offline", "trainer=cpu", "trainer.epochs=1", *words, *arguments.words]
    if not arguments.quick:
        words.append(f"data.train_size={arguments.train_size}")
    for dropout in arguments.dropout:
        work = prepare([*words, f"task.dropout={dropout}"])
        report(
            dropout,
            work,
            in_turn(ways(work, arguments, padded=dropout != "0"), 1 if arguments.quick else arguments.rounds),
        )


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=None, help="a data set of conf/data (sst2; vader for --quick)")
    parser.add_argument("--train-size", type=int, default=8000, help="training rows")
    parser.add_argument("--steps", type=int, default=-1, help="steps of a measurement; -1: an epoch")
    parser.add_argument("--padded-steps", type=int, default=30, help="steps of the slow ways; 0 leaves them out")
    parser.add_argument("--rounds", type=repeats, default=ROUNDS)
    parser.add_argument("--dropout", nargs="+", default=["null", "0"], help="null: the backbone's own")
    parser.add_argument("--quick", action="store_true", help="three steps of a tiny model, without the Trainer")
    parser.add_argument("words", nargs="*", help="more overrides, e.g. factorization=none trainer.batching=tokens")
    arguments = parser.parse_args()
    arguments.data = arguments.data or ("vader" if arguments.quick else "sst2")
    return arguments


def ways(work: Workload, arguments: argparse.Namespace, *, padded: bool) -> dict[str, Callable[[], Speed]]:
    """What is measured; each measurement trains a copy of the model from the start."""
    found: dict[str, Callable[[], Speed]] = {}
    if not arguments.quick:
        found[BEST] = partial(trainer, work, "grouped", arguments.steps)
        if padded and arguments.padded_steps:
            found[PADDED] = partial(trainer, work, "padded", arguments.padded_steps)
            found[DYNAMIC] = partial(trainer, work, "dynamic", arguments.padded_steps)
    steps = 3 if arguments.quick else arguments.steps
    found[BARE] = partial(bare, work, steps)
    found[OURS] = partial(embfact, work, steps)
    return {name: partial(beside_gemm, way, flops_of(work)) for name, way in found.items()}


def flops_of(work: Workload) -> Callable[[Sequence[int]], float]:
    """FLOPs that the model takes, as it is written down, to train on rows of these lengths."""
    from embfact.profiling.profile import row_flops

    cost = row_flops(work.start.model, work.start.splits.train.row(0))
    return lambda lengths: cost.of(len(lengths), sum(lengths), sum(length**2 for length in lengths))


def left_out(work: Workload) -> float:
    """Share of those FLOPs that embfact's kernels leave out: what nobody reads of the last layer."""
    from embfact.kernels.first_token import last_layer

    layer, lengths = last_layer(work.start.model), work.start.splits.train.lengths.tolist()
    if layer is None:
        return 0.0
    # Two operations an entry of its matrices in the forward pass, four in the backward pass, but for the first token.
    each_token = 6 * sum(weight.numel() for weight in layer.parameters() if weight.ndim == 2)
    return each_token * (sum(lengths) - len(lengths)) / flops_of(work)(lengths)


def beside_gemm(way: Callable[[], tuple[float, list[int]]], flops: Callable[[Sequence[int]], float]) -> Speed:
    """A measurement with the speed of the machine before and after it."""
    before = gemm_speed()
    seconds, lengths = way()
    speed = (before + gemm_speed()) / 2
    return Speed(seconds, len(lengths), sum(lengths), flops(lengths) / seconds / 1e9 / speed)


def trainer(work: Workload, sampling: Sampling, steps: int) -> tuple[float, list[int]]:
    """Seconds and lengths of the rows with transformers' Trainer, bar and logging as they are by default."""
    from transformers import TrainerCallback

    class Clock(TrainerCallback):
        def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
            self.start = time.perf_counter()

        def on_train_end(self, *args: Any, **kwargs: Any) -> None:
            self.end = time.perf_counter()

    lengths: list[int] = []
    with tempfile.TemporaryDirectory() as folder, redirect_stderr(Terminal()), redirect_stdout(Terminal()):
        built = trainer_of(work, folder, sampling, max_steps=steps, bar=True, model=deepcopy(work.start.model))
        collate, clock = built.data_collator, Clock()

        def counted(rows: list[dict[str, Any]]) -> Any:
            batch = collate(rows)
            lengths.extend(batch["attention_mask"].sum(dim=1).tolist())
            return batch

        built.data_collator = counted
        built.add_callback(clock)
        built.train()
    return clock.end - clock.start, lengths


def bare(work: Workload, steps: int) -> tuple[float, list[int]]:
    """The same with a loop that does nothing but train, on embfact's batches and with its kernels."""
    import torch

    from embfact.kernels.swap import for_training
    from embfact.training.start import data_module

    torch.manual_seed(work.config.seed)
    model, data, options = deepcopy(work.start.model).train(), data_module(work.start, work.config), work.config
    groups = [
        {"params": [p for p in model.parameters() if p.ndim > 1]},
        {"params": [p for p in model.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, options.optimizer.lr, weight_decay=options.optimizer.weight_decay, fused=True)
    batches = data.train_dataloader()
    total = len(batches) if steps < 0 else steps
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / total)
    lengths: list[int] = []
    with for_training(model, torch.device("cpu")):
        start = time.perf_counter()
        for batch, _ in zip(batches, range(total), strict=False):
            lengths.extend(batch["attention_mask"].sum(dim=1).tolist())
            labels, weight = batch.pop("labels"), batch.pop("weight")
            (torch.nn.functional.cross_entropy(model(**batch).logits, labels) * weight).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), options.trainer.gradient_clip or float("inf"))
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
        return time.perf_counter() - start, lengths


def embfact(work: Workload, steps: int) -> tuple[float, list[int]]:
    """The same with embfact's own training: Lightning, its callbacks, the bar, and W&B's offline logger."""
    import pytorch_lightning as pl

    from embfact.runs.identity import identify
    from embfact.training.context import RunContext
    from embfact.training.fit import fit
    from embfact.training.start import data_module
    from embfact.training.tracker import Tracker

    lengths: list[int] = []

    class Clock(pl.Callback):
        def on_train_start(self, *args: Any) -> None:
            self.start = time.perf_counter()

        def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, *args: Any) -> None:
            lengths.extend(batch["attention_mask"].sum(dim=1).tolist())
            self.end = time.perf_counter()

    data, clock = data_module(work.start, work.config), Clock()
    data.selection = None  # what is scored between epochs is no part of this
    trainer_options = work.config.trainer.model_copy(update={"max_steps": None if steps < 0 else steps})
    config = work.config.model_copy(update={"trainer": trainer_options, "checkpoint": "last"})
    pl.seed_everything(config.seed, verbose=False)
    with tempfile.TemporaryDirectory() as folder, redirect_stderr(Terminal()), redirect_stdout(Terminal()):
        identity = identify(config.model_copy(update={"output_dir": folder}))
        identity.directory.mkdir()
        tracker = Tracker(config, identity)
        context = RunContext(config, identity, loggers=tracker.loggers)
        fit(deepcopy(work.start.model), data, context, watching=[clock])
        tracker.close("finished")
    return clock.end - clock.start, lengths


def report(dropout: str, work: Workload, found: dict[str, list[Speed]]) -> None:
    """Print the table; the ratio is that of tokens per second, within each round."""
    lengths = work.start.splits.train.lengths
    kind = f"{work.config.factorization.name}, dropout {'of the backbone' if dropout == 'null' else dropout}"
    print(f"\n{work.config.data.name}, {len(lengths):,} rows of {lengths.mean():.1f} tokens, {kind}\n")
    pace = {name: [speed.tokens / speed.seconds for speed in speeds] for name, speeds in found.items()}
    reference = BEST if BEST in found else BARE
    rows = []
    for name, speeds in found.items():
        sentences = median(speed.rows / speed.seconds for speed in speeds)
        each = [f"{value:.3f}" for value in (ratio(pace[name], pace[reference]), ratio(pace[name], pace[BARE]))]
        share = median(speed.utilisation for speed in speeds)
        rows.append([name, f"{sentences:.1f}", f"{median(pace[name]):,.0f}", *each, f"{100 * share:.0f} %"])
    head = ["", "sentences/s", "tokens/s", f"x {'best Trainer' if reference == BEST else 'bare loop'}", "x bare loop"]
    print(table([*head, "utilisation"], rows))
    share = left_out(work)
    print(
        f"\nUtilisation: FLOPs of the model as it is written, for tokens without padding. embfact's kernels leave out "
        f"{100 * share:.1f} % of them (the rows of the last layer that no head reads); of what they compute the "
        f"utilisation is {100 * (1 - share) * median(speed.utilisation for speed in found[OURS]):.0f} %.",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
