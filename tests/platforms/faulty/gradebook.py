"""One school's gradebook behind Assignment and Grade Services, without any transport: how each LMS takes,
scales, shows, refuses and forgets scores (sources: integrations/platforms), with a ledger of all that arrived.

`tests.fake_ags` puts it behind a `requests` adapter, `tests.platforms.faulty.server` behind real HTTP.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode

Answer = tuple[int, Any, dict[str, str]]
"""Status, body (bytes, or what becomes JSON), headers."""
Key = tuple[str, str]
"""A cell: the column's address without its query, and the user id."""

SCORE_TYPE = "application/vnd.ims.lis.v1.score+json"
HTML = {"Content-Type": "text/html; charset=utf-8"}
_FILTERS = {"resource_link_id": "resourceLinkId", "resource_id": "resourceId", "tag": "tag"}
_FINAL = {"moodle": {"FullyGraded"}, "canvas": {"FullyGraded", "PendingManual"}}
_REPEATED = b'"Score already exists for the provided timestamp."'
_EARLIER = {"errors": {"message": "Provided timestamp of x before last updated timestamp of y"}}


class Refused(Exception):
    """An answer that ends the request."""

    def __init__(self, status: int, body: Any = b"", headers: dict[str, str] | None = None) -> None:
        self.answer: Answer = (status, body, headers or {})


@dataclass
class Gradebook:
    """`posts` is every score that arrived in its order, accepted or not; `grades` what the gradebook shows, in
    points of the column. A column that nobody made exists as soon as it is asked for: the teacher's, of 100
    points. `page_size` makes results come in pages. Safe in threads."""

    url: str
    kind: str = "generic"
    posts: list[dict[str, Any]] = field(default_factory=list)
    grades: dict[Key, float] = field(default_factory=dict)
    columns: list[dict[str, Any]] = field(default_factory=list)
    teachers_columns: dict[str, dict[str, Any]] = field(default_factory=dict)
    times: dict[Key, datetime] = field(default_factory=dict)
    overridden: set[Key] = field(default_factory=set)
    """Moodle: cells in which a grade of the teacher's stays whatever the tool sends."""
    sent: dict[Key, float] = field(default_factory=dict)
    """The tool's last accepted score of each cell, shown or not."""
    swallowing: set[str] = field(default_factory=set)
    """Columns that take scores and show none (Moodle: a column without a grade type)."""
    swallowed: set[Key] = field(default_factory=set)
    """Cells whose scores such a column took: they are nowhere."""
    deleted: set[str] = field(default_factory=set)
    edits: list[dict[str, Any]] = field(default_factory=list)
    """What teachers did."""
    clock_ahead: float = 0.0
    """Seconds by which this school's clock is ahead of the real one."""
    page_size: int | None = None
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False)
    _made: int = 0

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.clock_ahead)

    def column_url(self, name: str) -> str:
        return f"{self.url}/course/lineitems/{name}"

    # -- teachers ----------------------------------------------------------------------------------

    def teacher_sets(self, user: str, points: float | None, name: str = "c1") -> None:
        """A teacher gives a grade in the LMS (None: takes it away)."""
        key = (self.column_url(name), user)
        with self.lock:
            self.edits.append({"user": user, "column": name, "points": points})
            if self.kind == "moodle":
                self.overridden.add(key)
            if points is None:
                self.grades.pop(key, None)
            else:
                self.grades[key] = points

    def teacher_frees(self, user: str, name: str = "c1") -> None:
        """Moodle: the teacher takes the override away, and the tool's last score shows again."""
        key = (self.column_url(name), user)
        with self.lock:
            self.edits.append({"user": user, "column": name, "freed": True})
            self.overridden.discard(key)
            self._show(key)

    def rescale(self, maximum: float, name: str = "c1") -> None:
        """A teacher gives the column another maximum, and the points of its grades stay."""
        with self.lock:
            self._column(self.column_url(name))["scoreMaximum"] = maximum

    # -- services ----------------------------------------------------------------------------------

    def serve(self, method: str, url: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        """The answer to a call of a service, its token being good."""
        address, _, text = url.partition("?")
        query = parse_qs(text)
        try:
            if address.endswith("/scores"):
                return self._score(address.removesuffix("/scores"), body, headers)
            if address.endswith("/results"):
                return self._results(address, query)
            if address.endswith("/lineitems"):
                return self._columns(method, address, query, body)
            return self._one_column(method, address, body)
        except Refused as refused:
            return refused.answer

    def _score(self, column: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        score = _json(body)
        with self.lock:
            item = self._column(column)
            key = (column, str(score["userId"]))
            self.posts.append({"column": column, **score})
            if self.kind == "moodle" and headers.get("Content-Type", "").partition(";")[0] != SCORE_TYPE:
                return 400, b"No handler found", {}
            self._take_time(key, datetime.fromisoformat(score["timestamp"]))
            if score["gradingProgress"] in _FINAL.get(self.kind, {score["gradingProgress"]}):
                points = score["scoreGiven"] / score["scoreMaximum"] * item["scoreMaximum"]
                self.sent[key] = round(min(points, item["scoreMaximum"]), 5)
            elif not score.get("https://canvas.instructure.com/lti/submission", {}).get("preserve_score"):
                self.sent.pop(key, None)
            self._show(key)
        return 200, b"", {}

    def _show(self, key: Key) -> None:
        if key[0] in self.swallowing:
            self.swallowed.add(key)
            return
        if key in self.overridden:
            return
        if key in self.sent:
            self.grades[key] = self.sent[key]
        else:
            self.grades.pop(key, None)

    def _take_time(self, key: Key, stamp: datetime) -> None:
        """Each LMS's own rule for a time that is not later than the last one."""
        last = self.times.get(key)
        if self.kind == "moodle":
            # With its own clock, in whole seconds; the tool's time is only compared.
            if last is not None and stamp.replace(microsecond=0) <= last:
                raise Refused(409, b"[]")
            self.times[key] = self.now().replace(microsecond=0)
            return
        if last is not None and (stamp < last or (stamp == last and self.kind != "canvas")):
            raise {
                "canvas": Refused(400, _EARLIER),
                "open-edx": Refused(400, _REPEATED),
            }.get(self.kind, Refused(409, b"[]"))
        self.times[key] = max(stamp, self.now()) if self.clock_ahead else stamp

    def _results(self, address: str, query: dict[str, list[str]]) -> Answer:
        column = address.removesuffix("/results")
        if self.kind == "moodle" and "limit" in query:
            return 404, b"<html><body>Error reading from database</body></html>", dict(HTML)
        with self.lock:
            item = self._column(column)
            shown = sorted((user, points) for (where, user), points in self.grades.items() if where == column)
            if column in self.swallowing:
                shown = []
        user = query.get("user_id", [None])[0]
        found = [
            {
                "id": f"{address}/{who}",
                "userId": who,
                "resultScore": points,
                "resultMaximum": item["scoreMaximum"],
                "scoreOf": column,
            }
            for who, points in shown
            if user in (None, who)
        ]
        size = int(query["limit"][0]) if "limit" in query else self.page_size
        if size is None:
            return 200, found, {}
        page = int(query.get("page", ["0"])[0])
        part = found[page * size : (page + 1) * size]
        if (page + 1) * size >= len(found):
            return 200, part, {}
        others = {name: values[0] for name, values in query.items()} | {"page": str(page + 1)}
        return 200, part, {"Link": f'<{address}?{urlencode(others)}>; rel="next"'}

    def _columns(self, method: str, address: str, query: dict[str, list[str]], body: bytes | None) -> Answer:
        with self.lock:
            if method == "POST":
                made = {"id": f"{address}/made-{self._made}", **_item(_json(body))}
                self._made += 1
                self.columns.append(made)
                return 201, dict(made), {}
            wanted = {_FILTERS[name]: values[0] for name, values in query.items() if name in _FILTERS}
            return (
                200,
                [
                    dict(item)
                    for item in self.columns
                    if all(item.get(name) == value for name, value in wanted.items())
                ],
                {},
            )

    def _one_column(self, method: str, address: str, body: bytes | None) -> Answer:
        """PUT replaces the whole object: what is left out is gone (Moodle, capture 21)."""
        with self.lock:
            item = self._column(address)
            if method == "PUT":
                said = _item(_json(body))
                item.clear()
                item.update({**said, "id": address})
            elif method == "DELETE":
                if self.kind == "canvas" and item not in self.columns:
                    return 401, b"", {}
                self.columns[:] = [one for one in self.columns if one is not item]
                self.deleted.add(address)
                return 204, b"", {}
            return 200, dict(item), {}

    def _column(self, address: str) -> dict[str, Any]:
        if address in self.deleted:
            raise Refused(404, {"error": "no such column"})
        made = next((item for item in self.columns if item["id"] == address), None)
        return made or self.teachers_columns.setdefault(
            address, {"id": address, "label": address.rpartition("/")[2], "scoreMaximum": 100}
        )


def _json(body: bytes | None) -> dict[str, Any]:
    try:
        value = json.loads(body or b"")
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise Refused(400, b"[]")
    return value


def _item(said: dict[str, Any]) -> dict[str, Any]:
    if not said.get("label") or not isinstance(said.get("scoreMaximum"), int | float):
        raise Refused(400, b"[]")
    return {name: value for name, value in said.items() if name != "id"}
