"""What one would run without embfact: transformers' Trainer in a process of its own, as Hugging Face's `run_glue.py`.

    python benchmarks/run_glue_style.py --model DIR --train-file A --validation-file B --output DIR --rank 64

As there by default: `datasets` tokenises, every row is padded to 128 tokens, the Trainer trains in batches of 32,
scores the validation rows, and the model is saved. The table is factorized by svd first, so that the model is the same
as ours. The last line is JSON: the seconds of the parts.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

BEGUN = time.perf_counter()


def main() -> None:
    """Fine-tune one model and say what took how long."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="directory of the backbone and its tokenizer")
    parser.add_argument("--train-file", required=True, help="JSON Lines with text and label")
    parser.add_argument("--validation-file", required=True, help="the same, to score")
    parser.add_argument("--output", required=True, help="where the model is saved")
    parser.add_argument("--rank", type=int, help="rank of the table; without it the table is as it was")
    parser.add_argument("--max-length", type=int, default=128, help="tokens of every row")
    parser.add_argument("--lr", type=float, default=1e-4, help="learning rate")
    parser.add_argument("--seed", type=int, default=0, help="of the head and of the order of the rows")
    parser.add_argument("--grouped", action="store_true", help="batches of like length, padded to their longest row")
    parser.add_argument("--only-train", action="store_true", help="neither score nor save")
    arguments = parser.parse_args()
    trainer = trainer_of(arguments)
    times = [BEGUN, time.perf_counter()]
    trainer.train()
    times.append(time.perf_counter())
    if not arguments.only_train:
        trainer.evaluate()
        times.append(time.perf_counter())
        trainer.save_model()
    names = ("startup", "training", "evaluation")
    seconds = {name: end - start for name, start, end in zip(names, times, times[1:], strict=False)}
    print("\n" + json.dumps(seconds))


def trainer_of(arguments: argparse.Namespace) -> Any:
    """The Trainer, its model and its rows."""
    import torch
    from datasets import load_dataset
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainingArguments,
        default_data_collator,
        set_seed,
    )

    set_seed(arguments.seed)
    files = {"train": arguments.train_file, "validation": arguments.validation_file}
    rows = load_dataset("json", data_files=files)
    tokenizer = AutoTokenizer.from_pretrained(arguments.model)
    labels = len(rows["train"].unique("label"))
    model = AutoModelForSequenceClassification.from_pretrained(arguments.model, num_labels=labels)
    if arguments.rank:
        import embfact

        embfact.compress(model, "svd", rank=arguments.rank)

    def encode(batch: Any) -> Any:
        padding = False if arguments.grouped else "max_length"
        return tokenizer(batch["text"], padding=padding, max_length=arguments.max_length, truncation=True)

    rows = rows.map(encode, batched=True)
    return Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=arguments.output,
            num_train_epochs=1,
            per_device_train_batch_size=32,
            per_device_eval_batch_size=32,
            learning_rate=arguments.lr,
            optim="adamw_torch_fused",
            train_sampling_strategy="group_by_length" if arguments.grouped else "random",
            seed=arguments.seed,
            report_to=[],
            save_strategy="no",
            use_cpu=not torch.cuda.is_available(),
        ),
        train_dataset=rows["train"],
        eval_dataset=rows["validation"],
        compute_metrics=lambda scored: {"accuracy": (scored.predictions.argmax(1) == scored.label_ids).mean().item()},
        processing_class=tokenizer,
        data_collator=DataCollatorWithPadding(tokenizer) if arguments.grouped else default_data_collator,
    )


def seconds_of(output: str) -> dict[str, float]:
    """The seconds of the parts, from what the process printed."""
    return json.loads(output.strip().splitlines()[-1])


def command(model: Path, files: tuple[Path, Path], output: Path, *more: str) -> list[str]:
    """How to start the process, after the name of the interpreter."""
    train, validation = files
    places = ["--model", model, "--train-file", train, "--validation-file", validation, "--output", output]
    return [str(Path(__file__).resolve()), *map(str, places), *more]


if __name__ == "__main__":
    main()
