"""A district's platforms for load tests: each its own host, slow, and with an exact ledger; one lean process.

    python -m tests.load.district --port PORT --schools N --latency SECONDS

School n answers at 127.0.0.(n + 2):PORT and stores scores after the latency; its token endpoint answers at once and
verifies nothing. 127.0.0.1:PORT is for the measurement: `GET /state` gives every school's `Ledger`, `POST /term` begins
with empty ones and says which schools are in trouble and how (`{"7": "dead"}`, see `Mode`).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from tests.load.platform import Connection

THROTTLED_EACH = 50
THROTTLED_SECONDS = 2
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_STORED = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 0\r\n\r\n"
_BUSY = f"HTTP/1.1 429 Too Many Requests\r\nRetry-After: {THROTTLED_SECONDS}\r\nContent-Length: 0\r\n\r\n".encode()
_DOWN = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
_TOKEN = json.dumps({"access_token": "load", "token_type": "Bearer", "expires_in": 3600}).encode()
_GRANTED = (
    f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(_TOKEN)}\r\n\r\n".encode()
    + _TOKEN
)


class Mode(StrEnum):
    NORMAL = "normal"
    DEAD = "dead"
    """It accepts connections and never answers, not even with a token."""
    THROTTLED = "throttled"
    """Every fiftieth score is refused: 429, come back in two seconds."""
    DOWN = "down"
    """It answers 503 at once."""


@dataclass(slots=True)
class Ledger:
    """What one school got since the term began. Moments are those of this machine's monotonic clock."""

    mode: Mode = Mode.NORMAL
    posts: int = 0
    stored: int = 0
    flying: int = 0
    most_flying: int = 0
    first: float = 0.0
    last: float = 0.0
    shown: dict[str, float] = field(default_factory=dict)
    """What the gradebook shows, by person."""

    def arrived(self) -> None:
        self.posts += 1
        self.flying += 1
        self.most_flying = max(self.most_flying, self.flying)

    def store(self, body: bytes) -> None:
        score = json.loads(body)
        self.shown[score["userId"]] = score["scoreGiven"]
        self.stored += 1
        self.last = time.monotonic()
        self.first = self.first or self.last

    def report(self) -> dict[str, Any]:
        """Everything; of what is shown only how many people have which grade."""
        values = Counter(str(given) for given in self.shown.values())
        return asdict(self) | {"shown": values, "people": len(self.shown)}


class District:
    """The ledgers of all schools, and what the measurement may ask and say."""

    def __init__(self, schools: int) -> None:
        self.ledgers = [Ledger() for _ in range(schools)]

    def answer(self, method: str, path: str, query: str, body: bytes) -> tuple[int, bytes, str]:
        """The status, the body and the Link header (none)."""
        if path == "/state":
            return 200, json.dumps([ledger.report() for ledger in self.ledgers]).encode(), ""
        if path == "/term" and method == "POST":
            modes = json.loads(body)
            self.ledgers = [Ledger(Mode(modes.get(str(n), "normal"))) for n in range(len(self.ledgers))]
            return 200, b"{}", ""
        return 404, b"{}", ""


class Caller(asyncio.Protocol):
    """A kept connection to one school; one request at a time, as HTTP clients do it."""

    def __init__(self, district: District, number: int, latency: float) -> None:
        self.district = district
        self.number = number
        self.latency = latency
        self.later = asyncio.get_running_loop().call_later
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        data = self.buffer + data
        end = data.find(b"\r\n\r\n") + 4
        length = _LENGTH.search(data, 0, end)
        if end < 4 or len(data) < end + int(length[1] if length else 0):
            self.buffer = data
            return
        self.buffer = b""
        self._answer(data, end)

    def _answer(self, request: bytes, end: int) -> None:
        ledger = self.district.ledgers[self.number]
        if ledger.mode is Mode.DEAD:
            ledger.posts += 1
        elif request.startswith(b"POST /token "):
            self.transport.write(_GRANTED)
        elif ledger.mode is Mode.DOWN:
            ledger.posts += 1
            self.transport.write(_DOWN)
        else:
            ledger.arrived()
            self.later(self.latency, self._finish, ledger, request, end)

    def _finish(self, ledger: Ledger, request: bytes, end: int) -> None:
        ledger.flying -= 1
        if ledger.mode is Mode.THROTTLED and ledger.posts % THROTTLED_EACH == 0:
            self.transport.write(_BUSY)
            return
        ledger.store(request[end:])
        self.transport.write(_STORED)


def host(number: int) -> str:
    """The address of school `number`; all of 127.0.0.0/8 is this machine (Linux)."""
    return f"127.0.0.{number + 2}"


async def serve(port: int, schools: int, latency: float) -> None:
    """Answer until the process is ended."""
    district = District(schools)
    loop = asyncio.get_running_loop()
    for number in range(schools):
        await loop.create_server(_caller(district, number, latency), host(number), port, backlog=200)
    server = await loop.create_server(lambda: Connection(district), "127.0.0.1", port)
    await server.serve_forever()


def _caller(district: District, number: int, latency: float) -> Any:
    return lambda: Caller(district, number, latency)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--schools", type=int, required=True)
    parser.add_argument("--latency", type=float, required=True)
    chosen = parser.parse_args(arguments)
    asyncio.run(serve(chosen.port, chosen.schools, chosen.latency))


if __name__ == "__main__":
    main()
