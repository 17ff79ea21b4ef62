"""What a platform answered, read with distrust: any body may be HTML, half JSON or endless nesting."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NoReturn

from integrations.errors import PlatformUnavailable

_LONGEST_WAIT = 86_400.0


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A complete HTTP answer of any status."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def text(self) -> str:
        """The first 64 KB of the body as text, for recognising a platform's words."""
        return self.body[:65_536].decode("utf-8", "replace")

    def header(self, name: str) -> str:
        """The value of a header whatever its case, "" if there is none."""
        return next((value for key, value in self.headers.items() if key.lower() == name.lower()), "")


def json_object(answer: HttpAnswer) -> dict[str, Any]:
    """The body as a JSON object, or PlatformUnavailable "broken-answer"."""
    value = _json(answer)
    if not isinstance(value, dict):
        raise PlatformUnavailable("broken-answer", "not a JSON object", status=answer.status)
    return value


def json_list(answer: HttpAnswer) -> list[Any]:
    """The body as a JSON list, or PlatformUnavailable "broken-answer"."""
    value = _json(answer)
    if not isinstance(value, list):
        raise PlatformUnavailable("broken-answer", "not a JSON list", status=answer.status)
    return value


def retry_after(answer: HttpAnswer) -> float | None:
    """Seconds that the platform asks us to wait (RFC 9110, 10.2.3: number or date), at most a day."""
    value = answer.header("Retry-After").strip()
    if value.isascii() and value.isdigit():
        return min(float(value), _LONGEST_WAIT)
    until = _http_date(value)
    if until is None:
        return None
    # Measured on the platform's own clock where it tells it: its idea of "now" is what it counts from.
    now = _http_date(answer.header("Date")) or datetime.now(UTC)
    return min(max((until - now).total_seconds(), 0.0), _LONGEST_WAIT)


def _http_date(value: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(value)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def _json(answer: HttpAnswer) -> Any:
    try:
        return json.loads(answer.body.decode("utf-8-sig"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise PlatformUnavailable("broken-answer", "not JSON", status=answer.status) from error


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
