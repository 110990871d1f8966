"""A stand-in for the W&B service on loopback: it answers what the installed wandb asks, and keeps what it is sent."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import unquote

KEY = "0" * 40
EMPTY = {"systemMetrics": "{}", "createdAt": "2025-01-02T03:04:05Z", "heartbeatAt": "2025-01-02T03:04:05Z"}
EMPTY |= {"description": None, "notes": None, "sweepName": None, "commit": None, "readOnly": False, "tags": []}
EMPTY |= {"projectId": "1", "historyLineCount": 0, "user": {"name": "me", "username": "me"}, "historyKeys": None}
EMPTY |= {"config": "{}", "summaryMetrics": "{}", "group": None, "jobType": None, "state": "finished"}


class Service:
    """What the stand-in keeps, and how it answers.

    Args:
        project: The only project that it has, ``ENTITY/PROJECT``.

    Attributes:
        runs: Id -> run, as the public API shows it.
        history: Id -> lines of the learning curve.
        files: Name -> content of every file of a run.
        views: Workspaces and reports that were made.
        asked: Name and variables of every GraphQL question.
    """

    def __init__(self, project: str) -> None:
        self.entity, self.project = project.split("/")
        self.runs: dict[str, dict[str, Any]] = {}
        self.history: dict[str, list[dict[str, Any]]] = {}
        self.files: dict[str, bytes] = {}
        self.views: list[dict[str, Any]] = []
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.url = ""

    def add(self, name: str, config: dict[str, Any] | None = None, state: str = "finished") -> None:
        """A run that is there already."""
        nested = json.dumps({key: {"value": value} for key, value in (config or {}).items()})
        run = {"id": f"node-{name}", "name": f"id-{name}", "displayName": name, "config": nested, "state": state}
        self.runs[run["name"]] = EMPTY | run

    def questions(self, name: str) -> list[dict[str, Any]]:
        """The variables of every question of this name."""
        return [variables for asked, variables in self.asked if asked == name]

    def answer(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        """The data that answers a GraphQL question."""
        found = re.search(r"(?:query|mutation)\s+(\w+)", query)
        name = found.group(1) if found else ""
        self.asked.append((name, variables))
        known = getattr(self, f"_{name[:1].lower()}{name[1:]}", None)
        return known(variables) if known else {}

    def stream(self, run: str, body: dict[str, Any]) -> None:
        """Take lines of a run's curve and its summary."""
        files = body.get("files") or {}
        lines = self.history.setdefault(run, [])
        for start, content in _chunks(files, "wandb-history.jsonl"):
            lines[start:] = [json.loads(line) for line in content]
        self.runs[run]["historyLineCount"] = len(lines)
        for _, content in _chunks(files, "wandb-summary.json"):
            self.runs[run]["summaryMetrics"] = content[-1]
        if body.get("complete"):
            self.runs[run]["state"] = "failed" if body.get("exitcode") else "finished"

    def _viewer(self, _: dict[str, Any]) -> dict[str, Any]:
        teams: dict[str, Any] = {"edges": []}
        return {"viewer": {"id": "1", "entity": self.entity, "username": "me", "flags": "{}", "teams": teams}}

    _getDefaultEntity = _viewer

    def _is(self, entity: str, project: str) -> bool:
        return (entity, project) == (self.entity, self.project)

    def _runs(self, variables: dict[str, Any]) -> dict[str, Any]:
        if not self._is(variables["entity"], variables["project"]):
            return {"project": None}
        nodes, start = list(self.runs.values()), int(variables.get("cursor") or 0)
        page = list(enumerate(nodes, 1))[start : start + variables["perPage"]]
        more = {"endCursor": str(start + len(page)), "hasNextPage": start + len(page) < len(nodes)}
        edges = [{"node": node, "cursor": str(number)} for number, node in page]
        runs = {"edges": edges, "pageInfo": more}
        return {"project": {"internalId": "1", "runCount": len(nodes), "readOnly": False, "runs": runs}}

    def _runResumeStatus(self, variables: dict[str, Any]) -> dict[str, Any]:
        entity = {"id": "1", "name": self.entity}
        run = self.runs.get(variables["name"])
        counts = {"logLineCount": 0, "eventsLineCount": 0, "eventsTail": "[]", "wandbConfig": "{}"}
        tail = json.dumps([json.dumps(line) for line in self.history.get(variables["name"], [])[-1:]])
        bucket = run and run | counts | {"historyTail": tail}
        return {"model": {"id": "1", "name": self.project, "entity": entity, "bucket": bucket}}

    def _upsertBucket(self, variables: dict[str, Any]) -> dict[str, Any]:
        name, new = variables["name"], variables["name"] not in self.runs
        renamed = {"groupName": "group", "summaryMetrics": "summaryMetrics"}
        given = {renamed.get(key, key): value for key, value in variables.items() if value is not None}
        kept = {key: value for key, value in given.items() if key in {*EMPTY, "displayName"}}
        run = self.runs.get(name, EMPTY | {"id": f"node-{name}", "name": name, "state": "running"})
        self.runs[name] = run | kept
        project = {"id": "1", "name": self.project, "entity": {"id": "1", "name": self.entity}}
        return {"upsertBucket": {"bucket": self.runs[name] | {"project": project}, "inserted": new}}

    def _createRunFiles(self, variables: dict[str, Any]) -> dict[str, Any]:
        files = [{"name": name, "uploadUrl": f"{self.url}/upload/{name}"} for name in variables["files"]]
        return {"createRunFiles": {"runID": "1", "uploadHeaders": [], "files": files}}

    def _createArtifact(self, _: dict[str, Any]) -> dict[str, Any]:
        # A table is an artifact, too; it is said to be there already, so that only the files of the runs are sent.
        artifact = {"id": "1", "state": "COMMITTED", "artifactSequence": {"id": "1", "latestArtifact": {"id": "1"}}}
        return {"createArtifact": {"artifact": artifact}}

    def _artifactType(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"project": {"artifact": None}}

    def _useArtifact(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"useArtifact": {"artifact": {"id": "1"}}}

    def _getProjects(self, _: dict[str, Any]) -> dict[str, Any]:
        project = {"id": "1", "name": self.project, "entityName": self.entity, "isBenchmark": False, "user": None}
        node = project | {"createdAt": "2025-01-02T03:04:05Z"}
        return {"models": {"pageInfo": {"endCursor": None, "hasNextPage": False}, "edges": [{"node": node}]}}

    def _projectInternalId(self, variables: dict[str, Any]) -> dict[str, Any]:
        here = self._is(variables["entityName"], variables["projectName"])
        return {"project": {"id": "1", "internalId": "1"} if here else None}

    def _upsertView2(self, variables: dict[str, Any]) -> dict[str, Any]:
        self.views.append(variables)
        kept = {key: variables.get(key) for key in ("name", "displayName", "description", "type", "spec")}
        project = {"id": "1", "name": self.project, "entityName": self.entity}
        times = {"createdAt": "2025-01-02T03:04:05Z", "updatedAt": "2025-01-02T03:04:05Z"}
        view = kept | times | {"id": f"view-{len(self.views)}", "project": project}
        return {"upsertView": {"view": view, "inserted": True}}

    _upsertView = _upsertView2


def _chunks(files: dict[str, Any], name: str) -> list[tuple[int, list[str]]]:
    chunk = files.get(name)
    return [(chunk["offset"], chunk["content"])] if chunk else []


@contextmanager
def serving(project: str = "me/embfact") -> Iterator[Service]:
    """The stand-in, at a port of its own for the block."""
    service = Service(project)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            answer: dict[str, Any] = {}
            if self.path == "/graphql":
                question = json.loads(body)
                answer = {"data": service.answer(question["query"], question.get("variables") or {})}
            elif self.path.endswith("/file_stream"):
                service.stream(self.path.split("/")[-2], json.loads(body))
            elif self.path.startswith("/upload/"):
                service.files[unquote(self.path.removeprefix("/upload/"))] = body
            content = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_PUT = do_GET = do_POST

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    service.url = f"http://127.0.0.1:{server.server_port}"
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
