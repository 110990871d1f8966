"""What embfact is measured against: transformers' own Trainer, on the same rows, backbone and head as a run of ours."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from side_by_side import CONF

from embfact.config.compose import hydra_session
from embfact.config.run_config import RunConfig
from embfact.errors import ConfigError

Sampling = Literal["padded", "dynamic", "grouped"]


@dataclass(frozen=True)
class Workload:
    """A run as both sides have it.

    Attributes:
        config: The configuration of the run.
        start: Rows and backbone of `embfact.training.start.load`; the table is replaced as the configuration says.
    """

    config: RunConfig
    start: Any

    def in_folder(self, folder: str) -> Any:
        """The `RunContext` of a training that writes its learning curve into a folder and leaves nothing else."""
        from embfact.runs.identity import Identity
        from embfact.training.context import RunContext

        return RunContext(self.config, Identity("", "", Path(folder), "", "", {}))


def compose(words: Sequence[str]) -> RunConfig:
    """The configuration that a command line gives.

    Raises:
        ConfigError: If it is not valid.
    """
    with hydra_session(CONF) as composer:
        configs, errors = composer.configs([list(words)])
    if errors:
        raise ConfigError(errors)
    return configs[0]


def prepare(words: Sequence[str]) -> Workload:
    """Load rows and backbone of a run, tokenised, and make its embedding smaller."""
    from embfact.runs.identity import identify
    from embfact.training.context import RunContext
    from embfact.training.factorize import factorize
    from embfact.training.start import load

    config = compose(words)
    context = RunContext(config, identify(config))
    start = load(context)
    factorize(start, context)
    return Workload(config, start)


def trainer_of(
    work: Workload, folder: str, sampling: Sampling, *, max_steps: int = -1, bar: bool = False, model: Any = None
) -> Any:
    """Transformers' Trainer for a workload: same optimizer (fused AdamW), rates, clipping and rows a step.

    Args:
        work: The run.
        folder: Where it may write.
        sampling: ``padded``: every row to ``data.max_length``, as ``run_glue.py`` does; ``dynamic``: to the longest of
            the batch; ``grouped``: batches of like length.
        max_steps: Optimizer steps; -1: as many as the epochs have.
        bar: Show its progress bar and log as it does by default.
        model: Another model than that of the workload.
    """
    import torch
    from transformers import DataCollatorWithPadding, PrinterCallback, Trainer, TrainingArguments

    options, trainer = work.config.optimizer, work.config.trainer
    built = Trainer(
        model=work.start.model if model is None else model,
        args=TrainingArguments(
            output_dir=folder,
            num_train_epochs=trainer.epochs,
            max_steps=max_steps,
            per_device_train_batch_size=trainer.batch_size,
            per_device_eval_batch_size=trainer.batch_size,
            optim="adamw_torch_fused",
            learning_rate=options.lr,
            weight_decay=options.weight_decay,
            warmup_steps=options.warmup_ratio,
            max_grad_norm=trainer.gradient_clip or 0.0,
            lr_scheduler_type="linear",
            train_sampling_strategy="group_by_length" if sampling == "grouped" else "random",
            length_column_name="length",
            seed=work.config.seed,
            report_to=[],
            save_strategy="no",
            logging_strategy="steps" if bar else "no",
            disable_tqdm=not bar,
            use_cpu=not torch.cuda.is_available(),
        ),
        train_dataset=dataset_of(
            work.start.splits.train, work.config.data.max_length if sampling == "padded" else None
        ),
        data_collator=DataCollatorWithPadding(work.start.tokenizer),
    )
    built.remove_callback(PrinterCallback)
    return built


def dataset_of(rows: Any, width: int | None = None) -> Any:
    """Tokenised rows as the `datasets.Dataset` that the Trainer takes.

    Args:
        rows: `embfact.data.tokenized.Tokenized`.
        width: Pad every row to so many tokens; None leaves them as they are.
    """
    from datasets import Dataset

    columns: dict[str, list[Any]] = {name: [] for name in ("input_ids", "attention_mask", "token_type_ids")}
    for index in range(len(rows)):
        length = int(rows.lengths[index])
        rest = [0] * (max(0, width - length) if width else 0)
        columns["input_ids"].append(rows.row(index).tolist() + rest)
        columns["attention_mask"].append([1] * length + rest)
        types = [0] * length if rows.types is None else rows.type_row(index).tolist()
        columns["token_type_ids"].append(types + rest)
    if rows.types is None:
        del columns["token_type_ids"]
    return Dataset.from_dict({**columns, "labels": rows.labels.tolist(), "length": rows.lengths.tolist()})


def require_trainer() -> None:
    """End in words, with exit code 2, where the Trainer cannot run."""
    from importlib.util import find_spec

    if find_spec("accelerate") is None:
        print("the Trainer of transformers needs accelerate: pip install 'embfact[bench]'", file=sys.stderr)
        sys.exit(2)


def write_texts(config: RunConfig, folder: Path) -> tuple[Path, Path]:
    """Write the rows that a run trains on, and those of its first reported split, for programs that are not ours.

    Args:
        config: The configuration of the run.
        folder: Where to write; made if it is not there.

    Returns:
        Two JSON Lines files with the columns ``text`` and ``label``.
    """
    import json

    from embfact.data.text import load_text

    rows = load_text(config.data, config.paths.data_dir, config.paths.cache_dir)
    folder.mkdir(parents=True, exist_ok=True)
    files = folder / "train.jsonl", folder / "validation.jsonl"
    for file, table in zip(files, (rows.train, rows.reports[config.data.report_splits[0]]), strict=True):
        lines = (json.dumps({"text": row["text"], "label": row["label"]}) for row in table.to_pylist())
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return files
