"""Platforms in this process, each a path of one loopback port, with an exact ledger of what arrived."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

Cell = tuple[str, str]


@dataclass
class School:
    """One platform: `arrived` lists every value that reached a cell in the order of arrival (column, sub)."""

    host: str
    base: str
    latency: float = 0.02
    kind: str = "generic"
    arrived: dict[Cell, list[float]] = field(default_factory=dict)
    most_in_flight: int = 0
    in_flight: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"{self.base}/{self.host}"

    def column_url(self, name: str) -> str:
        return f"{self.url}/course/lineitems/{name}"

    @property
    def posts(self) -> int:
        with self.lock:
            return sum(map(len, self.arrived.values()))

    def grades(self) -> dict[Cell, float]:
        """What the gradebook shows."""
        with self.lock:
            return {cell: values[-1] for cell, values in self.arrived.items()}

    def take(self, column: str, score: dict[str, Any]) -> None:
        """Store a score; half of the latency passes before, half after, so that both can be cut short."""
        with self.lock:
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
        time.sleep(self.latency / 2)
        with self.lock:
            self.arrived.setdefault((column, score["userId"]), []).append(score["scoreGiven"])
        time.sleep(self.latency / 2)
        with self.lock:
            self.in_flight -= 1


class District(ThreadingHTTPServer):
    """The port; `schools` by name."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.schools: dict[str, School] = {}

    def school(self, name: str) -> School:
        self.schools[name] = School(name, f"http://127.0.0.1:{self.server_address[1]}")
        return self.schools[name]

    def handle_error(self, *_: Any) -> None:
        """A worker that was killed breaks its connections."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: District

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        path = urlsplit(self.path).path
        school = self.server.schools[path.split("/")[1]]
        if path.endswith("/token"):
            self._answer({"access_token": uuid.uuid4().hex, "expires_in": 3600, "token_type": "Bearer"})
        else:
            school.take(f"{school.base}{path.removesuffix('/scores')}", json.loads(body))
            self._answer({})

    def _answer(self, body: Any) -> None:
        content = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Nothing: the ledger says it all."""


@contextmanager
def district() -> Iterator[District]:
    """The port open until the block ends."""
    with District() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
