"""`python -m tests.platforms.faulty --port 9100`: many schools on one port, `/s/<name>/...` each.

`PUT /control/<name>` makes a school, `POST /control/<name>` changes it, `GET /control/<name>` tells its ledger;
all bodies are JSON (`Faulty` in `running.py` is the client).
"""

from __future__ import annotations

import argparse
import json
import signal
import socket
import struct
import sys
import time
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import FrameType
from typing import Any

from tests.platforms.faulty.faults import Fault, fault_of
from tests.platforms.faulty.gradebook import Answer
from tests.platforms.faulty.school import School

_LONGEST_DRIP = 120


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, host: str, port: int) -> None:
        super().__init__((host, port), Handler)
        self.origin = f"http://{host}:{self.server_port}"
        self.schools: dict[str, School] = {}

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exc_info()[1]
        if not isinstance(error, ConnectionError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: Server

    def do_GET(self) -> None:
        announced = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(announced)
        if len(body) < announced:  # who called died in the middle of it
            self.close_connection = True
            return
        parts = self.path.partition("?")[0].split("/")
        if parts[1] == "control":
            self._control(parts[2] if len(parts) > 2 else "", body)
        elif parts[1] == "s" and parts[2] in self.server.schools:
            self._school(self.server.schools[parts[2]], body)
        else:
            self._answer((404, b"", {}))

    do_POST = do_PUT = do_DELETE = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _control(self, name: str, body: bytes) -> None:
        schools = self.server.schools
        wanted = json.loads(body or b"{}")
        if "faults" in wanted:
            wanted["faults"] = [fault_of(one) for one in wanted["faults"]]
        if self.command == "PUT":
            schools[name] = School(f"{self.server.origin}/s/{name}")
        if self.command in ("PUT", "POST"):
            schools[name].change(wanted)
        self._answer((200, schools[name].state() if name else sorted(schools), {}))

    def _school(self, school: School, body: bytes) -> None:
        url = f"{self.server.origin}{self.path}"
        with school.call(url) as (sort, fault):
            line = school.arrived(sort, _score(body) if sort == "score" else {})
            time.sleep(school.latency + (fault.wait if fault else 0.0))
            if fault is not None and fault.end == "revoke":
                school.revoke()
            answer: Answer = (fault.status, fault.body.encode(), fault.headers) if fault else (0, b"", {})
            if fault is None or fault.stored or fault.end in ("nothing", "revoke"):
                done = school.handle(self.command, url, body, self.headers)  # type: ignore[arg-type]
                line["stored"] = done[0] < 300
                answer = done if fault is None or fault.end != "answer" else answer
            answer[2].setdefault("Date", format_datetime(school.now(), usegmt=True))
            if fault is None or fault.end in ("answer", "nothing", "revoke"):
                line["answered"] = answer[0]
                self._answer(answer)
            else:
                self._spoil(fault, answer)

    def _answer(self, answer: Answer) -> None:
        self.wfile.write(_bytes(answer))
        self.wfile.flush()

    def _spoil(self, fault: Fault, answer: Answer) -> None:
        """The caller never gets a whole answer (or not before its patience ends)."""
        self.close_connection = True
        if fault.end == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        content = _bytes(answer)
        if fault.end == "half":
            self.connection.sendall(_bytes(answer, promised=1000))
        if fault.end == "drip":
            until = time.monotonic() + _LONGEST_DRIP
            for byte in content:
                if time.monotonic() > until:
                    break
                self.connection.sendall(bytes([byte]))
                time.sleep(fault.drip)


def _bytes(answer: Answer, promised: int = 0) -> bytes:
    """The answer as it travels; `promised` bytes of it never come."""
    status, body, headers = answer
    content = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
    all_headers = {
        "Content-Type": "application/json",
        **headers,
        "Content-Length": str(len(content) + promised),
    }
    lines = [f"HTTP/1.1 {status} -", *(f"{name}: {value}" for name, value in all_headers.items()), "", ""]
    return "\r\n".join(lines).encode() + content


def _score(body: bytes) -> dict[str, Any]:
    try:
        score = json.loads(body)
    except ValueError:
        return {"unreadable": True}
    return dict(score) if isinstance(score, dict) else {"unreadable": True}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.platforms.faulty")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--host", default="127.0.0.1")
    options = parser.parse_args()
    server = Server(options.host, options.port)
    signal.signal(signal.SIGTERM, _leave)
    print(server.origin, flush=True)
    try:
        server.serve_forever()
    finally:
        server.server_close()


def _leave(number: int, frame: FrameType | None) -> None:
    sys.exit(0)


if __name__ == "__main__":
    main()
