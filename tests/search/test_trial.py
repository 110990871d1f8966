"""A trial is the training of a run, judged by the held-out slice; reported rows have no part in it."""

from __future__ import annotations

import math
import os
import signal

import pytest

from embfact.errors import DivergedError
from embfact.runs.record import read
from embfact.search.trial import checkpoints
from embfact.search.trial import train as trial
from embfact.system.signals import Interrupted, interruptible


@pytest.fixture
def tried(tmp_path):
    """The value of a trial of a configuration, and what it reported: check -> value."""

    def do(config):
        reports = {}
        return trial(config, "trial", tmp_path, lambda value, check: reports.update({check: value})), reports

    return do


TARGETS = "text,label\n" + "\n".join(f"film {row} of {row % 7},{row % 7}.5" for row in range(60)) + "\n"


@pytest.fixture
def files(tmp_path):
    """Words for 60 rows to train on and a file to report on, whose content is given; a target has a fine metric."""

    def words(reported, training=TARGETS):
        (tmp_path / "train.csv").write_text(training)
        (tmp_path / "valid.csv").write_text(reported)
        names = [f"data.{split}_file='{tmp_path / split[:5]}.csv'" for split in ("train", "validation")]
        sizes = ["data.train_size=40", "data.eval_size=null", "data.selection_size=20", "trainer.batch_size=16"]
        return ["data=files", *names, *sizes, "data.target=float", "data.metrics=[pearson]", "optimizer.lr=3e-3"]

    return words


@pytest.mark.parametrize("checkpoint", ["best", "last"])
def test_its_value_is_what_a_run_with_the_same_options_selects_by(
    train, tiny, composed, tried, files, tmp_path, checkpoint
):
    words = [*files(TARGETS), f"checkpoint={checkpoint}", "trainer.max_steps=null", "trainer.epochs=4"]
    value, reports = tried(*composed(*words, "search.seed=3", "search.seeds=1", "search.checks=4"))
    assert train(*tiny, *words, "rank=8", "seed=3", "output_dir=runs", cwd=tmp_path).code == 0
    (directory,) = tmp_path.glob("runs/*/")
    history = [entry["loss"] for entry in read(directory).selection.history]
    assert value == (min(history) if checkpoint == "best" else history[-1])
    # Checks at the ends of epochs see what the run sees there, and leave the training as it is.
    assert reports == dict(enumerate(history[:-1], 1))
    assert len(set(history)) == 4


def test_with_more_seeds_it_is_their_mean(composed, tried, files):
    words = [*files(TARGETS), "trainer.max_steps=null", "trainer.epochs=2", "search.checks=2"]
    (three, few), (four, _) = (tried(*composed(*words, f"search.seed={seed}", "search.seeds=1")) for seed in (3, 4))
    both, reports = tried(*composed(*words, "search.seed=3", "search.seeds=2"))
    assert both == pytest.approx((three + four) / 2)
    assert three != four
    # A check of the first seed, its result, and a check of the second.
    assert sorted(reports) == [1, 2, 3]
    assert (reports[1], reports[2]) == (few[1], three)


def test_the_number_of_checks_does_not_change_the_training(composed, tried, files):
    words = [*files(TARGETS), "trainer.max_steps=null", "trainer.epochs=1"]
    (none, few), (value, many) = (
        tried(*composed(*words, f"search.checks={checks}", "search.seeds=1")) for checks in (1, 3)
    )
    assert (few, len(many)) == ({}, 2)
    assert none == value


def test_reported_rows_are_not_read(composed, tried, files):
    good, *garbage = (tried(*composed(*files(text))) for text in (TARGETS, "text,label\nno,such\x00,label\n", ""))
    assert [good, good] == garbage


def test_rows_that_are_trained_on_are(composed, tried, files):
    (config,) = composed(*files(TARGETS, TARGETS + "no label at all,\n"))
    with pytest.raises(ValueError, match=r"train\.csv, line 62"):
        tried(config)


def test_it_ends_where_the_report_gives_it_up(composed, tmp_path):
    class HopelessError(Exception):
        pass

    seen = []

    def report(value, check):
        seen.append(check)
        if check == 2:
            raise HopelessError

    (config,) = composed("trainer.max_steps=8")
    with pytest.raises(HopelessError):
        trial(config, "trial", tmp_path, report)
    assert seen == [1, 2]


def test_a_loss_that_is_no_number_is_told(composed, tried):
    with pytest.raises(DivergedError, match="step"):
        tried(*composed("optimizer.lr=1e30", "trainer.gradient_clip=null", "search.checks=1"))


def test_a_table_that_is_still_dense_is_not_judged(composed, tried):
    words = [
        "trainer.max_steps=null",
        "trainer.epochs=4",
        "refactorize=every_epoch",
        "search.checks=4",
        "search.seeds=1",
    ]
    _, reports = tried(*composed(*words, "refactorize.until=0.5"))
    assert sorted(reports) == [2, 3]
    _, reports = tried(*composed(*words, "refactorize.until=0.75"))
    assert sorted(reports) == [3]


def test_a_constant_target_is_judged_by_its_loss(composed, tried, files):
    constant = "text,label\n" + "\n".join(f"film {row},2.5" for row in range(60)) + "\n"
    value, reports = tried(*composed(*files(TARGETS, constant)))  # a correlation would be undefined
    assert 0 < value < 2.5**2
    assert all(loss > 0 for loss in reports.values())


def test_a_signal_ends_it_after_the_step(composed, tmp_path):
    (config,) = composed("trainer.max_steps=50")
    with pytest.raises(Interrupted) as caught, interruptible():
        trial(config, "trial", tmp_path, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    assert caught.value.exit_code == 143


@pytest.mark.parametrize(
    ("steps", "checks", "places"),
    [
        (100, 4, [(25, 1), (50, 2), (75, 3)]),
        (100, 1, []),
        (3, 4, [(1, 1), (2, 2)]),
        (1, 4, []),
        (2, 3, [(1, 1)]),
    ],
)
def test_checks_divide_a_training_evenly_and_leave_its_end_out(steps, checks, places):
    assert checkpoints(steps, checks) == places
    assert all(not math.isclose(step, steps) for step, _ in places)
