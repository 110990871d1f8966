"""A study has the asked number of trials and finds the same, however often its process dies."""

from __future__ import annotations

import math
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from embfact.errors import DataError, DivergedError
from embfact.search.plan import studies_of
from embfact.search.study import DAMAGES, complete, look
from tests.helpers.commands import environment
from tests.search import course

# A range of its own, which trials of the valley below can leave by failing.
RATE = ["search.space.optimizer.lr.low=1e-5", "search.space.optimizer.lr.high=1e-3"]
RATE += ["~search.space.optimizer.embedding_lr"]
WORDS = ["model=bert_scratch", "data=vader", "rank=8", "search=lr", "search.trials=8", "search.startup=3", *RATE]
WORDS += ["+search.space.task.dropout={low: 0.0, high: 0.3}"]


@pytest.fixture
def study(composed):
    """One study of eight trials, three of them at random."""
    (found,) = studies_of(composed("search.trials=8", "search.startup=3", *RATE))
    return found


@pytest.fixture(scope="module")
def undisturbed(conf, tmp_path_factory):
    """What the study of `WORDS` finds, and the trials that it did."""
    folder = tmp_path_factory.mktemp("undisturbed")
    found = course.run(folder, 0.0, conf, WORDS)
    return found, (folder / "trials.txt").read_text().splitlines()


def start(folder, seconds, conf):
    return subprocess.Popen(
        [sys.executable, course.__file__, folder, str(seconds), conf, *WORDS],
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    )


def lines(folder):
    path = folder / "trials.txt"
    return path.read_text().splitlines() if path.exists() else []


def by_lr(values):
    """An objective that gives a score to each learning rate; one that is an exception is raised."""

    def answer(config, title, directory, report):
        value = values(config.optimizer.lr)
        if isinstance(value, Exception):
            raise value
        return value

    return answer


def test_it_finds_the_valley_in_as_many_trials_as_asked(undisturbed):
    found, _ = undisturbed
    assert found.done == 8
    assert abs(math.log10(found.options["optimizer.lr"]) + 4) < 0.5
    assert found.value == pytest.approx(
        (math.log10(found.options["optimizer.lr"]) + 4) ** 2 + found.options["task.dropout"]
    )


def test_every_trial_counts_and_hopeless_ones_are_given_up(undisturbed):
    found, done = undisturbed
    assert [line.split()[0] for line in done] == [f"{number}/8" for number in range(1, 9)]
    assert found.given_up > 0


def test_the_first_trials_are_never_given_up(study, tmp_path):
    assert complete(study, course.objective(tmp_path)).given_up > 0
    search = study.config.search.model_copy(update={"startup": 8})
    patient = replace(study, folder=tmp_path / "other", config=study.config.model_copy(update={"search": search}))
    assert complete(patient, course.objective(tmp_path)).given_up == 0


def test_a_study_that_is_killed_again_and_again_ends_as_one_that_was_not(undisturbed, conf, tmp_path):
    expected, trials = undisturbed
    for after in (2, 4):
        process = start(tmp_path, 0.5, conf)
        deadline = time.monotonic() + 60
        while len(lines(tmp_path)) < after and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.2)  # in the middle of the next one
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    killed = lines(tmp_path)
    assert 4 <= len(killed) < len(trials)
    assert course.run(tmp_path, 0.0, conf, WORDS) == expected
    # At most the one that was on its way at each kill was done again, and to the same options.
    assert list(dict.fromkeys(lines(tmp_path))) == trials
    assert len(lines(tmp_path)) <= len(trials) + 2
    assert list(tmp_path.glob("*.lock")) == list(tmp_path.glob("search/*/trial")) == []


def test_two_processes_share_a_study(undisturbed, conf, tmp_path):
    both = [start(tmp_path, 0.1, conf) for _ in range(2)]
    answers = [process.communicate(timeout=120)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert answers == [f"{undisturbed[0]}\n"] * 2
    assert lines(tmp_path) == undisturbed[1]


def test_a_study_can_be_made_longer_and_is_then_as_if_it_had_always_been(study, tmp_path):
    short = replace(study, trials=4)
    first = complete(short, course.objective(tmp_path))
    long = complete(study, course.objective(tmp_path))
    other = replace(study, folder=tmp_path / "other")
    assert long == complete(other, course.objective(tmp_path))
    # Asked for the shorter one again: every method has the budget of this command.
    assert look(short) == complete(short, course.objective(tmp_path)) == first


def test_looking_writes_nothing(study, tmp_path, files_below):
    assert look(study).done == 0
    assert not study.folder.exists()
    complete(study, course.objective(tmp_path))
    before = files_below(tmp_path)
    assert look(study).done == 8
    assert files_below(tmp_path) == before


def test_a_trial_that_diverges_or_fails_counts_and_the_others_go_on(study):
    def values(lr):
        return DivergedError("nan at step 3") if lr > 5e-4 else MemoryError("no room") if lr < 1e-4 else lr

    found = complete(study, by_lr(values))
    assert found.done == 8
    assert set(found.failed) == {"nan at step 3", "MemoryError: no room"}
    assert 1e-4 <= found.options["optimizer.lr"] <= 5e-4
    log = (study.directory / "log.txt").read_text()
    assert "Traceback (most recent call last)" in log
    assert "MemoryError: no room" in log
    assert complete(study, by_lr(lambda lr: pytest.fail("tried again"))) == found


def test_where_nothing_came_through_what_failed_is_tried_again(study, tmp_path):
    broken = complete(study, by_lr(lambda lr: DataError("reviews.csv, line 3: no label")))
    assert (broken.done, broken.options, broken.failed) == (8, None, ("reviews.csv, line 3: no label",) * 8)
    assert (study.directory / "log.txt").is_file()
    mended = complete(study, course.objective(tmp_path))
    other = replace(study, folder=tmp_path / "other")
    assert mended == complete(other, course.objective(tmp_path)) == look(study)


def test_what_diverges_everywhere_is_not_tried_again(study):
    found = complete(study, by_lr(lambda lr: DivergedError("nan at step 1")))
    assert (found.done, found.options) == (8, None)
    assert complete(study, by_lr(lambda lr: pytest.fail("tried again"))) == found


def test_the_earliest_of_equals_is_chosen(study):
    seen = []

    def same(config, title, directory, report):
        seen.append(config.optimizer.lr)
        return 0.5

    assert complete(study, same).options == {"optimizer.lr": seen[0]}


def test_an_interruption_passes_through_and_the_study_goes_on(study, tmp_path):
    class StopError(BaseException):
        pass

    valley, calls = course.objective(tmp_path), []

    def stopped(*arguments):
        calls.append(1)
        if len(calls) == 4:
            raise StopError
        return valley(*arguments)

    with pytest.raises(StopError):
        complete(study, stopped)
    assert look(study).done == 3
    other = replace(study, folder=tmp_path / "other")
    assert complete(study, valley) == complete(other, valley)


def test_scratch_space_is_empty_for_each_trial_and_gone_at_the_end(study):
    def littering(config, title, directory, report):
        assert list(directory.iterdir()) == []
        (directory / "weights.bin").write_bytes(b"0")
        return config.optimizer.lr

    complete(study, littering)
    assert [path.name for path in study.folder.iterdir()] == ["search.db"]


def test_any_folder_name_will_do(study, tmp_path):
    odd = replace(study, folder=tmp_path / "50% {of} it? #1 'ä'")
    assert complete(odd, course.objective(tmp_path)).done == 8
    assert odd.database.is_file()
    assert look(odd).done == 8


@pytest.mark.parametrize("content", [b"no database at all" * 100, b""], ids=["damaged", "emptied"])
def test_a_damaged_database_is_a_damage_and_not_a_new_study(study, tmp_path, content):
    complete(study, course.objective(tmp_path))
    study.database.write_bytes(content)
    with pytest.raises(DAMAGES):
        look(study)


def test_the_trials_are_there_for_other_programs(study, tmp_path):
    complete(study, course.objective(tmp_path))
    with sqlite3.connect(study.database) as database:
        states = [state for (state,) in database.execute("select state from trials")]
    assert len(states) == 8
    assert set(states) <= {"COMPLETE", "PRUNED", "FAIL"}
