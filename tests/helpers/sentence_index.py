"""A made-up archive of rated sentences, a source distribution around it, and a package index on this machine."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from embfact.data.package_index import Release
from embfact.data.sentence_archive import MEMBER, RELEASE

FILES = {name: f"{name}_GroundTruth.txt" for name in ("movieReviewSnippets", "tweets")}
FILES |= {name: f"{name}_GroundTruth.txt" for name in ("amazonReviewSnippets", "nytEditorialSnippets")}
GOOD, BAD = ("fine", "moving", "lovely", "great"), ("dull", "cold", "awful", "boring")
# What runs if anybody runs the code of the package.
SETUP = "raise SystemExit('the code of the package was run')\n"


def sentence(row: int) -> tuple[float, str]:
    """A rating and a sentence that goes with it; every tenth is rated zero."""
    good = row % 2
    words = (GOOD if good else BAD)[row // 2 % 4]
    return (0.0 if row % 10 == 9 else (1 if good else -1) * (1 + row % 3)), f"Part {row}: the story is {words}."


def tar_of(files: Mapping[str, str | bytes]) -> bytes:
    """An archive with these files in the folder of the paper's."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as file:
        for name, text in files.items():
            content = text.encode() if isinstance(text, str) else text
            member = tarfile.TarInfo(f"hutto_ICWSM_2014/{name}")
            member.size = len(content)
            file.addfile(member, io.BytesIO(content))
    return gzip.compress(packed.getvalue(), mtime=0)


def archive(rows: int = 400) -> bytes:
    """An archive with so many sentences in each collection, as the paper's has them: CRLF, ids of two parts or one."""
    texts: dict[str, str | bytes] = {}
    for name, file in FILES.items():
        by_source = name.startswith(("amazon", "nyt"))
        ids = [f"{row // 5 + 1}_{row % 5 + 1}" if by_source else str(row + 1) for row in range(rows)]
        lines = [(key, *sentence(row)) for row, key in enumerate(ids)]
        texts[file] = "\r\n".join(f"{key}\t{rating}\t{text}" for key, rating, text in lines)
    return tar_of(texts)


def distribution(member: bytes, name: str = MEMBER) -> bytes:
    """A source distribution with a member in it, and with code that must not run."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("vaderSentiment-0.5/setup.py", SETUP)
        file.writestr(name, member)
    return packed.getvalue()


def release_of(content: bytes) -> Release:
    """The release whose file has these bytes."""
    return Release(RELEASE.project, RELEASE.filename, hashlib.sha256(content).hexdigest())


@dataclass(frozen=True)
class Reply:
    """What the index answers.

    Attributes:
        content: The body.
        kind: Its content type.
        status: The status.
        cut: Whether it breaks off in the middle.
    """

    content: bytes = b""
    kind: str = "application/octet-stream"
    status: int = 200
    cut: bool = False


@dataclass
class Index:
    """A package index on 127.0.0.1.

    Attributes:
        url: Its root, as ``PIP_INDEX_URL`` has it.
        replies: Path -> what is answered there, or a function that gives it when asked; 404 elsewhere.
        asked: Path and ``Authorization`` of every request.
    """

    url: str
    replies: dict[str, Reply | Callable[[], Reply]] = field(default_factory=dict)
    asked: list[tuple[str, str | None]] = field(default_factory=list)

    def serve(self, content: bytes, *, as_json: bool = False, link: str = "../../files/vaderSentiment-0.5.zip") -> None:
        """Offer a file as the release, on a page as in PEP 503 or PEP 691."""
        self.replies["/files/vaderSentiment-0.5.zip"] = Reply(content)
        names = ["vadersentiment-3.3.2.tar.gz", "vaderSentiment-0.5.zip"]
        if as_json:
            files = [{"filename": name, "url": link.replace("vaderSentiment-0.5.zip", name)} for name in names]
            page = Reply(json.dumps({"files": files}).encode(), "application/vnd.pypi.simple.v1+json")
        else:
            anchors = "".join(
                f'<a href="{link.replace("vaderSentiment-0.5.zip", name)}#sha256=0" data-requires-python="">{name}</a>'
                for name in names
            )
            page = Reply(f"<!DOCTYPE html><html><body>{anchors}</body></html>".encode(), "text/html; charset=utf-8")
        self.replies["/simple/vadersentiment/"] = page


@contextmanager
def serving() -> Iterator[Index]:
    """A package index that answers until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            index.asked.append((self.path, self.headers.get("Authorization")))
            reply = index.replies.get(self.path, Reply(status=404))
            reply = reply() if callable(reply) else reply
            self.send_response(reply.status)
            self.send_header("Content-Type", reply.kind)
            self.send_header("Content-Length", str(len(reply.content)))
            self.end_headers()
            self.wfile.write(reply.content[: len(reply.content) // 2] if reply.cut else reply.content)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    index = Index(f"http://127.0.0.1:{server.server_port}/simple")
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield index
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def written(folder: Path) -> list[str]:
    """Every file below a folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
