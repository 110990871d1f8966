"""A live dashboard: the page and its data over HTTP, for this machine only."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from embfact.errors import UserError
from embfact.results.dashboard.html import as_json, page
from embfact.results.dashboard.payload import payload
from embfact.results.dashboard.progress import progress
from embfact.results.dashboard.sweep import read_states, read_sweep

LOOPBACK = "127.0.0.1"
DATA = "/data.json"


class Watch:
    """The current state of a sweep, read again only when a run has changed; URLs are read once."""

    def __init__(self, places: Sequence[str]) -> None:
        self._places = tuple(places)
        self._lock = threading.Lock()  # one reading serves all browsers
        self._seen: Any = None
        self._data: dict[str, Any] = {}
        self._tag = ""

    def now(self) -> tuple[dict[str, Any], str]:
        """The data of the page, and a tag that changes with it.

        Raises:
            UserError: If a directory no longer exists.
            OSError: If a directory cannot be read.
        """
        with self._lock:
            # Includes the step of running runs, so that their curves grow on the page.
            states = read_states(self._places)
            if states != self._seen:
                self._data = payload(read_sweep(self._places, may_be_empty=True)) | {"follow": True}
                self._data["progress"] = progress(states)
                timeless = {name: value for name, value in self._data.items() if name != "made"}
                self._tag = f'"{hashlib.sha256(as_json(timeless).encode()).hexdigest()[:16]}"'
                self._seen = states
            return self._data, self._tag


def serve(places: Sequence[str], port: int) -> None:
    """Serve the page of a sweep until the process ends.

    Args:
        places: As for `read_sweep`.
        port: Port on the loopback address; 0 for any free port.

    Raises:
        UserError: If the port is not available, or a place cannot be read.
    """
    with make_server(places, port) as server:
        print(f"following {', '.join(places)} at http://{LOOPBACK}:{server.server_port} (stop with Ctrl-C)", flush=True)
        server.serve_forever()


def make_server(places: Sequence[str], port: int) -> ThreadingHTTPServer:
    """The server of `serve`, which has read the sweep once to report errors early."""
    watch = Watch(places)
    watch.now()

    class Handler(_Handler):
        watched = watch

    try:
        return _Server((LOOPBACK, port), Handler)
    except OSError as error:
        raise UserError(f"port {port} is not available ({error.strerror}); give another --port, or 0") from None


class _Server(ThreadingHTTPServer):
    daemon_threads = True  # an open browser does not block the end of the command


class _Handler(BaseHTTPRequestHandler):
    watched: Watch
    server: _Server

    def do_GET(self) -> None:
        # Against DNS rebinding: a page of another site must not read the data.
        hosts = {f"{name}:{self.server.server_port}" for name in (LOOPBACK, "localhost")}
        if self.headers.get("Host") not in hosts:
            return self._answer(403, "text/plain", "this server only answers to the name of this machine")
        if self.path not in ("/", DATA):
            return self._answer(404, "text/plain", f"only / and {DATA} exist")
        try:
            data, tag = self.watched.now()
        except (UserError, OSError) as error:
            return self._answer(503, "text/plain", str(error))
        if self.path == "/":
            return self._answer(200, "text/html", page(data, follow=True))
        if self.headers.get("If-None-Match") == tag:
            return self._answer(304, "application/json", "", tag)
        return self._answer(200, "application/json", as_json(data), tag)

    def _answer(self, code: int, kind: str, text: str, tag: str = "") -> None:
        content = text.encode()
        self.send_response(code)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        if tag:
            self.send_header("ETag", tag)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Log nothing: a page polls every few seconds."""
