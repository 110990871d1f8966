"""Is the dense baseline as good as what people would otherwise run? embfact against transformers' own Trainer.

Same rows, same backbone, same head, same learning rate, schedule and number of steps; each with its own loop:

    EMBFACT_DATA_DIR=... python benchmarks/dense_against_trainer.py --data sst2 --train-size 8000 --seeds 0 1 2
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from statistics import mean
from typing import Any

from embfact.composition import hydra_session
from embfact.config import RunConfig
from embfact.errors import ConfigError

CONF = Path(__file__).resolve().parents[1] / "conf"


def main() -> None:
    """Print the accuracy of both for every seed, and the difference of their means."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="sst2", help="a data set of conf/data")
    parser.add_argument("--train-size", type=int, default=8000, help="training rows")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as folder:
        for seed in arguments.seeds:
            config = dense_config(arguments, seed, folder)
            ours.append(with_embfact(config))
            theirs.append(with_trainer(config, folder))
            print(f"seed {seed}: embfact {100 * ours[-1]:.2f}, Trainer {100 * theirs[-1]:.2f}", flush=True)
    difference = 100 * (mean(ours) - mean(theirs))
    print(
        f"mean: embfact {100 * mean(ours):.2f}, Trainer {100 * mean(theirs):.2f}, difference {difference:+.2f} points"
    )


def dense_config(arguments: argparse.Namespace, seed: int, folder: str) -> RunConfig:
    """The configuration of a dense run, last weights reported, as the Trainer reports them."""
    words = [f"data={arguments.data}", f"data.train_size={arguments.train_size}", "factorization=none", "logger=none"]
    words += [f"seed={seed}", "checkpoint=last", f"output_dir={folder}", f"trainer.threads={arguments.threads}"]
    with hydra_session(CONF) as composer:
        configs, faults = composer.configs([words])
        if faults:
            raise ConfigError(faults)
        return configs[0]


def with_embfact(config: RunConfig) -> float:
    """First metric of the first reported split after a run of ours."""
    from embfact.launchers.work import do_run
    from embfact.sweep import make_plan

    outcome = do_run(make_plan([config])[0])
    if outcome.record is None or outcome.state != "finished":
        raise SystemExit(f"the run of embfact ended badly: {outcome.message}")
    return first_figure(config, outcome.record.metrics)


def first_figure(config: RunConfig, metrics: dict[str, Any]) -> float:
    """The figure that is compared."""
    return float(metrics[config.data.report_splits[0]][config.data.metrics[0]])


def with_trainer(config: RunConfig, folder: str) -> float:
    """The same figure after fine-tuning with transformers' Trainer."""
    import torch
    from transformers import DataCollatorWithPadding, Trainer, TrainingArguments, set_seed

    from embfact.data.text import load_text
    from embfact.models.loading import load_backbone
    from embfact.tasks.metrics import score

    torch.set_num_threads(config.trainer.threads or 1)
    set_seed(config.seed)
    text = load_text(config.data, config.paths.data_dir)
    labels = text.label_names or ()
    model, tokenizer = load_backbone(
        config.model, num_labels=len(labels), label_names=labels, dropout=config.task.dropout, seed=config.seed
    )

    def encode(table: Any) -> list[dict[str, Any]]:
        columns = [table.column(name).to_pylist() for name in ("text", "text_pair") if name in table.column_names]
        tokens = tokenizer(*columns, truncation=True, max_length=config.data.max_length)
        coded = zip(tokens["input_ids"], tokens["attention_mask"], table.column("label").to_pylist(), strict=True)
        return [{"input_ids": ids, "attention_mask": mask, "labels": label} for ids, mask, label in coded]

    options, trainer_options = config.optimizer, config.trainer
    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=folder,
            num_train_epochs=trainer_options.epochs,
            per_device_train_batch_size=trainer_options.batch_size,
            learning_rate=options.lr,
            weight_decay=options.weight_decay,
            warmup_steps=options.warmup_ratio,
            max_grad_norm=trainer_options.gradient_clip or 0.0,
            lr_scheduler_type="linear",
            seed=config.seed,
            report_to=[],
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
            use_cpu=not torch.cuda.is_available(),
        ),
        train_dataset=encode(text.train),
        data_collator=DataCollatorWithPadding(tokenizer),
    )
    trainer.train()
    rows = text.reports[config.data.report_splits[0]]
    found = trainer.predict(encode(rows))
    figures = score(config.data.metrics, found.predictions, found.label_ids)
    return first_figure(config, {config.data.report_splits[0]: figures})


if __name__ == "__main__":
    main()
