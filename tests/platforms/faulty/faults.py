"""What may go wrong with a call, as data that a test can send to the platform's process."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from typing import Any

_HTML_PAGE = "<!DOCTYPE html><html><body><h1>Error</h1><p>Coding error detected</p></body></html>"
_HTML = {"Content-Type": "text/html; charset=utf-8"}


@dataclass
class Fault:
    """Meets calls of the sort `at` (token, score, results, columns, any): the next `times` of them (None: for
    ever), each with `chance`.

    First it waits `wait` seconds. With `stored` the call is then done as usual and only its answer spoiled;
    without it nothing is done, unless `end` is "nothing". `end`: "answer" (status, body, headers), "drop" (the
    connection closes without a byte), "reset", "half" (closes in the middle of the answer), "drip" (one byte
    each `drip` seconds), "revoke" (every token is forgotten first), "nothing" (only the wait).
    """

    at: str = "score"
    times: int | None = 1
    chance: float = 1.0
    wait: float = 0.0
    stored: bool = False
    end: str = "answer"
    status: int = 500
    body: str = "{}"
    headers: dict[str, str] = field(default_factory=dict)
    drip: float = 0.2


def _said(status: int, body: str = "{}", **headers: str) -> dict[str, Any]:
    return {"status": status, "body": body, "headers": {k.replace("_", "-"): v for k, v in headers.items()}}


def _errors(message: str) -> str:
    return json.dumps({"errors": [{"field": "grade", "message": message, "error_code": None}]})


NAMED: dict[str, dict[str, Any]] = {
    "500": _said(500),
    "503": _said(503, "busy"),
    "429": _said(429),
    "429-wait": _said(429, Retry_After="2"),
    "slow": {"end": "nothing", "wait": 1.0},
    "drop-before": {"end": "drop"},
    "drop-after": {"end": "drop", "stored": True},
    "reset-before": {"end": "reset"},
    "reset-after": {"end": "reset", "stored": True},
    "half": {"end": "half", "stored": True},
    "drip": {"end": "drip", "stored": True},
    "no-json": {**_said(200, '{"access_token": "x'), "at": "token"},
    "html-200": {**_said(200, _HTML_PAGE), "headers": _HTML, "stored": True},
    "html-404": {**_said(404, _HTML_PAGE), "headers": _HTML},
    "expired": _said(401, '{"error": "Access token expired"}'),
    "revoked": {"end": "revoke"},
    "forbidden-token": _said(403, '{"detail": "Token not valid."}'),
    "canvas-throttle": _said(403, "403 Forbidden (Rate Limit Exceeded)"),
    "canvas-unpublished": _said(422, _errors("cannot be changed: This assignment is still unpublished")),
    "canvas-concluded": _said(422, _errors("This course has concluded. AGS requests will no longer be …")),
    "canvas-not-a-student": _said(422, _errors("User not found in course or is not a student")),
    "moodle-409": _said(409, "[]"),
    "moodle-400": _said(400, "[]"),
    "moodle-500": _said(500, "[]"),
    "open-edx-equal": _said(400, '"Score already exists for the provided timestamp."'),
    "bad-kid": {**_said(400, '{ "error" : ""kid" invalid, unable to lookup correct key" }'), "at": "token"},
    "token-500": {**_said(500), "at": "token"},
    "no-scope": {**_said(400, '{"error": "invalid_scope"}'), "at": "token"},
}
_FIELDS = {one.name for one in fields(Fault)}


def fault_of(said: str | dict[str, Any]) -> Fault:
    """A fault by its name in `NAMED`, or by its fields (with "name": those on top of a named one's)."""
    values = {"name": said} if isinstance(said, str) else dict(said)
    name = values.pop("name", None)
    if name is not None:
        values = {**NAMED[name], **values}
    if unknown := set(values) - _FIELDS:
        raise ValueError(f"no such part of a fault: {sorted(unknown)}")
    return Fault(**values)
