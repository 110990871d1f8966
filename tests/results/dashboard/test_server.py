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

from embfact.errors import UserError
from embfact.results.dashboard.server import LOOPBACK, make_server
from tests.helpers.commands import environment
from tests.helpers.places import ROOT
from tests.helpers.records import make_values
from tests.helpers.run_directories import write_state
from tests.results.dashboard.made_up import write_run, write_small


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
        pytest.raises(UserError, match=r"port \d+ is not available .* give another --port"),
    ):
        make_server([str(tmp_path)], other.getsockname()[1])


def watch(folder, *more):
    """The words that follow a sweep, of a process of its own."""
    return [str(ROOT / "scripts" / "dashboard.py"), str(folder), "--watch", "--port", "0", *more]


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_quietly(tmp_path, signum):
    words = [sys.executable, *watch(write_small(tmp_path))]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment())
    assert process.stdout is not None
    assert "http://127.0.0.1:" in process.stdout.readline()
    process.send_signal(signum)
    _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (0, "")


MOMENTS = 8
# Each child runs the script in a process forked for it, counts what the interpreter does from its first line on
# (imports, files, sockets), and sends itself a signal after so much of that; at the latest while it prints its address.
# What the script imports before its handler is in place is imported here: that is over in milliseconds.
AT_MANY_MOMENTS = f"""
import os, runpy, signal, sys
import embfact.system.terminal

WORDS = sys.argv[1:]

class Out:
    def __init__(self, reached): self.reached = reached
    def write(self, text):
        if "http" in text: self.reached()
    def flush(self): pass

def child(moment, signum, counted):
    seen = None
    def note(event, given):
        nonlocal seen
        if seen is not None:
            seen += 1
            if seen == moment: os.kill(os.getpid(), signum)
        elif event == "exec" and given[0].co_filename == WORDS[0]:
            seen = 0
    def reached():
        os.write(counted, str(seen).encode())
        os.kill(os.getpid(), signum)
    sys.argv, sys.stdout = WORDS, Out(reached)
    sys.addaudithook(note)
    runpy.run_path(WORDS[0], run_name="__main__")

def ended(moment, signum):
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        try: child(moment, signum, writer)
        finally: os._exit(99)
    os.close(writer)
    with open(reader) as counted: count = counted.read()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), int(count or 0)

code, count = ended(None, signal.SIGINT)
print(code, count)
for number in range({MOMENTS}):
    print(*ended(1 + number * count // {MOMENTS}, (signal.SIGINT, signal.SIGTERM)[number % 2]))
"""


def test_a_signal_at_any_moment_after_its_start_ends_it_quietly(tmp_path):
    words = [sys.executable, "-c", AT_MANY_MOMENTS, *watch(write_small(tmp_path))]
    done = subprocess.run(words, capture_output=True, text=True, env=environment(), check=False)
    assert (done.returncode, done.stderr) == (0, "")
    (first, *others) = [tuple(map(int, line.split())) for line in done.stdout.splitlines()]
    assert first[0] == 0
    assert first[1] > 1000  # it came to print its address, and much was done before
    assert others == [(0, 0)] * MOMENTS


def test_a_page_that_is_written_is_interrupted_as_other_commands_are(tmp_path):
    words = [str(ROOT / "scripts" / "dashboard.py"), str(write_small(tmp_path)), "-o", str(tmp_path / "page.html")]
    code = (
        "import os, runpy, signal, sys; sys.argv.pop(0)\n"
        "def note(event, given):\n"
        "    if event == 'open' and str(given[0]).endswith('record.json'): os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.addaudithook(note); runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, env=environment(), check=False)
    assert done.returncode == 130
    assert not (tmp_path / "page.html").exists()
