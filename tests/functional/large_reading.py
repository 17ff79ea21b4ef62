"""Read a column of many results in a process of its own, and print what it took as JSON.

`python -m tests.functional.large_reading DATABASE_URL FOLDER KEY COUNT PAGE_SIZE` (page size 0: one answer).
"""

from __future__ import annotations

import io
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests
from requests.adapters import BaseAdapter
from sqlalchemy import func, insert, select

from integrations.http import PlatformHttp
from integrations.terms import ActivityProgress, GradingProgress
from lti_app import create_app
from lti_app.clock import utc_now
from lti_app.config import Settings
from lti_app.delivery.worker import drain
from lti_app.extensions import db
from lti_app.gradebook.columns.care import look_after, request_reading
from lti_app.gradebook.models import LineItem, ReadingState, Score, ScoreState
from lti_app.roster.models import LtiUser
from tests.conftest import settings_for
from tests.fake_ags import READING, SCOPES, Desk, FakeAgs

PADDING = "评语" * 40


class Lazy(io.RawIOBase):
    """A body that is made while it is read, so that the platform's memory is not counted as ours."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts = parts
        self._rest = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        while len(self._rest) < size:
            part = next(self._parts, b"")
            if not part:
                break
            self._rest += part
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken


class Network(BaseAdapter):
    def __init__(self, count: int, page_size: int) -> None:
        super().__init__()
        self.count, self.page_size = count, page_size or count
        self.result_calls = 0

    def send(self, request: requests.PreparedRequest, **_: Any) -> requests.Response:  # type: ignore[override]
        response = requests.Response()
        response.status_code, response.request, response.url = 200, request, request.url or ""
        path, _, query = response.url.partition("?")
        if path.endswith("/token"):
            parts = iter([b'{"access_token": "t", "expires_in": 3600}'])
        elif path.endswith("/results"):
            self.result_calls += 1
            start = int(query.partition("from=")[2] or 0)
            end = min(start + self.page_size, self.count)
            parts = self._results(start, end)
            if end < self.count:
                response.headers["Link"] = f'<{path}?from={end}>; rel="next"'
        else:
            parts = iter([json.dumps({"id": path, "label": "x", "scoreMaximum": 100}).encode()])
        response.raw = Lazy(parts)
        return response

    def _results(self, start: int, end: int) -> Iterator[bytes]:
        yield b"["
        for number in range(start, end):
            # Every tenth was changed by a teacher.
            points = 50 if number % 10 else 60
            entry = {"userId": f"u{number}", "resultScore": points, "resultMaximum": 100, "comment": PADDING}
            yield b"," * (number > start) + json.dumps(entry).encode()
        yield b"]"

    def close(self) -> None:
        return None


def main(database_url: str, folder: str, key: str, count: int, page_size: int) -> None:
    settings = settings_for(Path(folder), database_url, key_encryption_key=key)
    columns = _prepared(settings, count)
    network = Network(count, page_size)
    desk = Desk(create_app(settings, http=PlatformHttp(adapter=network)), network)  # type: ignore[arg-type]
    network.count = 0
    _read(desk, columns["small"])
    network.count, network.result_calls = count, 0
    idle = _memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    began, cpu = time.monotonic(), time.process_time()
    _read(desk, columns["large"])
    took: dict[str, Any] = {
        "idle_kb": idle,
        "peak_kb": _memory("VmHWM"),
        "seconds": round(time.monotonic() - began, 2),
        "cpu_seconds": round(time.process_time() - cpu, 2),
        "requests": network.result_calls,
    }
    by_state = select(Score.state, func.count()).group_by(Score.state)
    with desk.work():
        took["states"] = {str(state): number for state, number in db.session.execute(by_state)}
    print(json.dumps(took))


def _prepared(settings: Settings, count: int) -> dict[str, int]:
    """Make the columns in a process of their own, whose memory is not counted."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        desk = Desk(create_app(settings, http=PlatformHttp(adapter=FakeAgs())), FakeAgs())
        desk.scopes = (*SCOPES, READING)
        school = desk.school()
        large, small = desk.column(school), desk.column(school, "c2")
        assert large is not None
        _fill(desk, large, count)
        os.write(writer, json.dumps({"large": large, "small": small}).encode())
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    columns: dict[str, int] = json.loads(os.read(reader, 1000))
    return columns


def _read(desk: Desk, column: int) -> None:
    with desk.work():
        assert request_reading([column], utc_now()) == 1
    drain(desk.app, [look_after])
    row = desk.line_item(column)
    assert row.reading is ReadingState.DONE, row.reading_error


def _fill(desk: Desk, column: int, count: int) -> None:
    now = utc_now()
    with desk.work():
        owner = db.session.get_one(LineItem, column).registration_id
        users = [{"registration_id": owner, "sub": f"u{number}"} for number in range(count)]
        db.session.execute(insert(LtiUser), users)
        ids = db.session.scalars(select(LtiUser.id).where(LtiUser.registration_id == owner)).all()
        sent = {
            "state": ScoreState.SENT,
            "sent_revision": 1,
            "sent_at": now,
            "sent_given": 50_00,
            "due_at": None,
        }
        score = {
            "registration_id": owner,
            "line_item_id": column,
            "given": 50_00,
            "maximum": 100_00,
            "activity_progress": ActivityProgress.COMPLETED,
            "grading_progress": GradingProgress.FULLY_GRADED,
            "submitted_at": now,
            **sent,
        }
        db.session.execute(insert(Score), [{**score, "lti_user_pk": one} for one in ids])


def _memory(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


if __name__ == "__main__":
    main(*sys.argv[1:4], *map(int, sys.argv[4:6]))
