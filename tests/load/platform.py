"""The platform's services for load tests: key set, tokens, scores, results, rosters; as lean as Python allows.

    python -m tests.load.platform --port PORT --tls-port PORT --folder FOLDER

The same over http and over https; FOLDER holds jwks.json and server.pem (see `keys`).

`GET /state` tells how often each service was asked and how many different people have a score; `GET /shown/<sub>`
which one. `POST /down` makes it refuse scores (503) until `POST /up`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import ssl
import uuid
from http import HTTPStatus
from pathlib import Path
from typing import Any, Protocol

from tests.load import gradebooks, members


class Answers(Protocol):
    """What stands behind a connection."""

    def answer(self, method: str, path: str, query: str, body: bytes) -> tuple[int, bytes, str]:
        """The status, the body and the Link header."""


class Services:
    """What the platform answers and remembers."""

    def __init__(self, origin: str, jwks: bytes) -> None:
        self.origin = origin
        self.jwks = jwks
        self.asked = {"jwks": 0, "token": 0, "scores": 0, "members": 0, "results": 0, "refused": 0}
        self.graded: dict[str, float] = {}
        self.is_down = False

    def answer(self, method: str, path: str, query: str, body: bytes) -> tuple[int, bytes, str]:
        """The status, the body and the Link header."""
        if path.startswith("/nrps/") and method == "GET":
            self.asked["members"] += 1
            return 200, *members.page(path, query)
        if path.startswith("/gradebook/") and method == "GET":
            self.asked["results"] += path.endswith("/results")
            return 200, *gradebooks.answer(path, query, self.origin)
        return *self._answer(method, path, body), ""

    def _answer(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        if path == "/jwks":
            self.asked["jwks"] += 1
            return 200, self.jwks
        if path.endswith("/scores") and method == "POST":
            return self._store(json.loads(body))
        if path == "/token" and method == "POST":
            self.asked["token"] += 1
            granted = {"access_token": uuid.uuid4().hex, "token_type": "Bearer", "expires_in": 3600}
            return 200, json.dumps(granted).encode()
        if path == "/state":
            return 200, json.dumps({**self.asked, "graded": len(self.graded)}).encode()
        if path in ("/down", "/up") and method == "POST":
            self.is_down = path == "/down"
            return 200, b"{}"
        if path.startswith("/shown/"):
            return 200, json.dumps(self.graded.get(path.removeprefix("/shown/"))).encode()
        return 404, b"{}"

    def _store(self, score: dict[str, Any]) -> tuple[int, bytes]:
        if self.is_down:
            self.asked["refused"] += 1
            return 503, b""
        self.asked["scores"] += 1
        self.graded[score["userId"]] = score["scoreGiven"]
        return 200, b""


class Connection(asyncio.Protocol):
    """One keep-alive connection: requests are answered in their order as soon as they are complete."""

    def __init__(self, services: Answers) -> None:
        self.services = services
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:end].decode("latin-1").split("\r\n")
            total = end + 4 + _content_length(head)
            if len(self.buffer) < total:
                return
            body, self.buffer = self.buffer[end + 4 : total], self.buffer[total:]
            method, path, _ = head[0].split(" ", 2)
            path, _, query = path.partition("?")
            self._send(*self.services.answer(method, path, query, body))

    def _send(self, status: int, body: bytes, link: str) -> None:
        head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        if link:
            head += f"\r\nLink: {link}"
        self.transport.write(head.encode() + b"\r\n\r\n" + body)


def _content_length(head: list[str]) -> int:
    for line in head[1:]:
        name, _, value = line.partition(":")
        if name.lower() == "content-length":
            return int(value)
    return 0


async def serve(port: int, tls_port: int, folder: Path) -> None:
    """Answer until the process is ended."""
    services = Services(f"http://127.0.0.1:{port}", (folder / "jwks.json").read_bytes())
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(folder / "server.pem")
    loop = asyncio.get_running_loop()
    await loop.create_server(lambda: Connection(services), "127.0.0.1", tls_port, ssl=tls)
    server = await loop.create_server(lambda: Connection(services), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--tls-port", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    chosen = parser.parse_args()
    asyncio.run(serve(chosen.port, chosen.tls_port, chosen.folder))
