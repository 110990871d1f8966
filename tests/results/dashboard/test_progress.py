"""What a watched sweep says of the runs in progress, as data and in a browser."""

from __future__ import annotations

import json
import threading
from contextlib import ExitStack
from http.client import HTTPConnection

import pytest

from embfact.results.dashboard.progress import progress
from embfact.results.dashboard.server import LOOPBACK, make_server
from embfact.runs.status import LOCK
from embfact.runs.survey import RunState, survey
from tests.helpers.run_directories import held_elsewhere, write_record, write_state
from tests.results.dashboard.browser import Page

TRAINING = {"phase": "training", "step": 120, "steps": 400, "loss": 0.3125, "seconds_left": 75.0, "threads": 2}


def state(name, kind, **known):
    return RunState(name, kind, name, name, 0.0, **known)


def test_a_run_is_told_with_phase_step_loss_time_and_cores():
    running = state("svd", "running", attempt=1, seconds=20.0, **TRAINING)
    (told,) = progress([running])["running"]
    assert told["text"] == "training, step 120 of 400, loss 0.312, about 75 s left, 2 cores"
    assert (told["name"], told["done"], told["of"]) == ("svd", 120, 400)
    (early,) = progress([state("svd", "running", phase="factorizing", threads=1)])["running"]
    assert (early["text"], early["of"]) == ("factorizing, 1 core", None)


def test_the_time_left_of_the_sweep_follows_from_its_finished_runs():
    ended = [state("a", "finished", seconds=100.0), state("b", "failed", seconds=3.0)]
    running = [state("c", "running", seconds=60.0), state("d", "running", seconds=20.0)]
    waiting = [state("e", "pending"), state("f", "interrupted", seconds=50.0)]
    found = progress([*ended, *running, *waiting])
    # 40 and 80 seconds for those that run, and twice 100 for those that wait, two at a time.
    assert (found["text"], found["done"], found["of"]) == ("2 of 6 runs have ended, about 3 min left", 2, 6)
    slow = [state("c", "running", seconds=60.0, seconds_left=180.0)]
    assert progress([*ended, *slow])["text"] == "2 of 3 runs have ended, about 3 min left", "it knows better"
    assert progress([*running, *waiting])["text"] == "0 of 4 runs have ended"
    assert progress([*ended, *waiting])["text"] == "2 of 4 runs have ended, none is running, 2 wait"


@pytest.fixture
def watched(tmp_path):
    """A folder with a finished and a running run, and the server of its page."""
    write_record(tmp_path / "done")
    write_state(tmp_path / "running", "running", hash="cd" * 32, seconds=30.0, **TRAINING)
    with ExitStack() as stack:
        stack.enter_context(held_elsewhere(tmp_path / "running" / LOCK))
        server = stack.enter_context(make_server([str(tmp_path)], 0))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        stack.callback(server.shutdown)
        yield tmp_path, server.server_port


def test_the_server_tells_it(watched):
    folder, port = watched
    connection = HTTPConnection(LOOPBACK, port, timeout=20)
    connection.request("GET", "/data.json")
    data = json.loads(connection.getresponse().read())
    assert data["progress"] == progress(survey([folder]))
    assert data["progress"]["running"][0]["done"] == 120


@pytest.mark.slow
def test_the_page_follows_the_run_in_progress(watched, browser, tmp_path):
    folder, port = watched
    browser.get_log("browser")
    shown = Page(browser, f"http://{LOOPBACK}:{port}/")
    shown.wait("!document.getElementById('progress').hidden")
    (line,) = shown.texts("#running li")
    assert "step 120 of 400, loss 0.312, about 75 s left, 2 cores" in line
    bars = "[...document.querySelectorAll('#progress progress')].map((one) => [one.value, one.max])"
    assert shown.run(f"return {bars}") == [[1, 2], [120, 400]]
    write_state(folder / "running", "running", hash="cd" * 32, seconds=50.0, **TRAINING | {"step": 240, "loss": 0.2})
    shown.wait("document.getElementById('running').innerText.includes('step 240 of 400, loss 0.200')")
    browser.save_screenshot(str(tmp_path / "progress.png"))
    write_record(folder / "running", seed=1)
    write_state(folder / "running", "finished", hash="cd" * 32)
    shown.wait("document.getElementById('progress').hidden")
    assert shown.errors() == []
