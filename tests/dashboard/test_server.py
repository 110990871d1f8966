"""dashboard/server.py: a served page follows its sweep, and answers this machine alone."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.client import HTTPConnection

import pytest

from embfact.dashboard.server import LOOPBACK, make_server
from embfact.errors import UserError
from tests.dashboard.made_up import write_run, write_small
from tests.lifecycle.made_up import write_state
from tests.records.conftest import make_values
from tests.scripts.conftest import ROOT, environment


@contextmanager
def served(folder):
    """A server of a folder; gives what asks it."""
    with make_server([str(folder)], 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()

        def ask(path="/data.json", **headers):
            connection = HTTPConnection(LOOPBACK, server.server_port, timeout=20)
            connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read().decode()

        try:
            yield ask
        finally:
            server.shutdown()


def test_a_run_that_ends_is_there_at_the_next_question(tmp_path):
    with served(write_small(tmp_path)) as ask:
        _, headers, before = ask()
        unchanged, _, nothing = ask(If_None_Match=headers["ETag"])
        write_run(tmp_path, make_values("svd", 128))
        status, _, after = ask(If_None_Match=headers["ETag"])
    assert (unchanged, nothing, status) == (304, "", 200)
    assert (len(json.loads(before)["runs"]), len(json.loads(after)["runs"])) == (3, 4)


def test_the_progress_of_a_run_is_followed(tmp_path):
    write_state(tmp_path / "run", "interrupted", phase="training", step=5, steps=9)
    with served(tmp_path) as ask:
        (before,) = json.loads(ask()[2])["runs"]
        write_state(tmp_path / "run", "interrupted", phase="training", step=8, steps=9)
        (after,) = json.loads(ask()[2])["runs"]
    assert (before["message"], after["message"]) == ("training, step 5 of 9", "training, step 8 of 9")


def test_the_page_may_ask_its_server_and_nobody_else(tmp_path):
    with served(write_small(tmp_path)) as ask:
        status, headers, html = ask("/")
    assert status == 200
    assert "connect-src 'self'" in html
    assert '"follow":true' in html
    assert headers["Content-Type"] == "text/html; charset=utf-8"


def test_a_sweep_that_has_just_begun_is_followed_too(tmp_path):
    with served(tmp_path) as ask:
        assert json.loads(ask()[2])["runs"] == []


def test_other_names_and_paths_are_refused(tmp_path):
    with served(write_small(tmp_path)) as ask:
        assert ask("/", Host="evil.example:80")[0] == 403
        assert ask("/../record.json")[0] == 404


def test_a_folder_that_is_gone_is_told(tmp_path):
    folder = write_small(tmp_path / "sweep")
    with served(folder) as ask:
        ask()
        folder.rename(tmp_path / "elsewhere")
        status, _, words = ask()
    assert status == 503
    assert "is not a directory" in words


def test_a_port_in_use_is_told(tmp_path):
    with (
        socket.create_server((LOOPBACK, 0)) as other,
        pytest.raises(UserError, match=r"port \d+ cannot be had .* give --port another"),
    ):
        make_server([str(tmp_path)], other.getsockname()[1])


def test_ctrl_c_ends_it_quietly(tmp_path):
    words = [
        sys.executable,
        str(ROOT / "scripts" / "dashboard.py"),
        str(write_small(tmp_path)),
        "--watch",
        "--port",
        "0",
    ]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment())
    assert process.stdout is not None
    assert "http://127.0.0.1:" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (0, "")
