"""A study of a cheap objective, as a process that can be killed: python course.py FOLDER SECONDS CONF WORDS..."""

from __future__ import annotations

import math
import sys
import time
from pathlib import Path

from embfact.config.compose import read_request
from embfact.errors import DivergedError
from embfact.search.plan import studies_of
from embfact.search.study import Findings, Objective, complete


def objective(folder: Path, seconds: float = 0.0) -> Objective:
    """A valley of the learning rate, walked down in three checks; ended trials leave a line each in ``trials.txt``."""

    def descend(lr, dropout, report):
        if lr > 7e-4:
            raise DivergedError(f"the loss became nan at step 3 with {lr}")
        depth = (math.log10(lr) + 4) ** 2 + dropout
        for check in (1, 2, 3):
            time.sleep(seconds / 3)
            report(depth * (4 - check), check)
        return depth

    def valley(config, title, directory, report):
        try:
            return descend(config.optimizer.lr, config.task.dropout or 0.0, report)
        finally:
            with (folder / "trials.txt").open("a") as file:
                file.write(f"{title.split()[-1]} {config.optimizer.lr}\n")

    return valley


def run(folder: Path, seconds: float, conf: Path, words: list[str]) -> Findings:
    (study,) = studies_of(read_request(conf, [*words, f"output_dir='{folder}'"], multirun=False).configs)
    return complete(study, objective(folder, seconds))


if __name__ == "__main__":
    print(run(Path(sys.argv[1]), float(sys.argv[2]), Path(sys.argv[3]), sys.argv[4:]))
