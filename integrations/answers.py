"""What a platform answered, read with distrust: any body may be HTML, half JSON or endless nesting."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NoReturn

from integrations.errors import Exchange, PlatformUnavailable

_LONGEST_WAIT = 86_400.0
_LEAST_SKEW = 2.0
# Launches need clocks that differ by minutes at most: what is further off is no clock but a broken header.
_MOST_SKEW = 86_400.0
# A reset above this is no number of seconds to wait but a moment.
_EPOCH_SECONDS = 1_000_000_000
_NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,9})?")


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A complete HTTP answer of any status, and what it answers: method, URL and body."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    request: tuple[str, str, bytes] = field(default=("", "", b""), repr=False, compare=False)

    @property
    def text(self) -> str:
        """The first 64 KB of the body as text, for recognising a platform's words."""
        return self.body[:65_536].decode("utf-8", "replace")

    def header(self, name: str) -> str:
        """The value of a header whatever its case, "" if there is none."""
        return next((value for key, value in self.headers.items() if key.lower() == name.lower()), "")

    @property
    def exchange(self) -> Exchange:
        """The exchange with the first 64 KB of the body, for who has to explain it."""
        return Exchange(*self.request, self.status, self.header("Content-Type"), self.body[:65_536])


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
    until = http_date(value)
    if until is None:
        return None
    # Measured on the platform's own clock where it tells it: its idea of "now" is what it counts from.
    now = http_date(answer.header("Date")) or datetime.now(UTC)
    return min(max((until - now).total_seconds(), 0.0), _LONGEST_WAIT)


def clock_ahead(answer: HttpAnswer, asked_at: float, answered_at: float) -> float | None:
    """By how many seconds the platform's clock is ahead of the one that showed `asked_at` and `answered_at`
    (since the epoch) around the call; 0.0 for less than two, None if it does not say, or says more than a day.

    `Date` has whole seconds, cut off (RFC 9110, 6.6.1).
    """
    date = http_date(answer.header("Date"))
    if date is None:
        return None
    earliest, latest = date.timestamp() - answered_at, date.timestamp() + 1 - asked_at
    ahead = (earliest + latest) / 2
    if abs(ahead) > _MOST_SKEW:
        return None
    return ahead if abs(ahead) >= _LEAST_SKEW else 0.0


def rate_pause(answer: HttpAnswer) -> float:
    """Seconds until we may call again, where the headers say that nothing is left: `RateLimit-Remaining` and
    `RateLimit-Reset` (draft-ietf-httpapi-ratelimit-headers-03), or the same with `X-`, whose reset may be a
    moment since the epoch. At most a day; 0.0: nothing is said."""
    for prefix in ("ratelimit", "x-ratelimit"):
        left = _number(answer.header(f"{prefix}-remaining"))
        reset = _number(answer.header(f"{prefix}-reset"))
        if left is None or reset is None or left >= 1:
            continue
        if reset >= _EPOCH_SECONDS:
            now = http_date(answer.header("Date")) or datetime.now(UTC)
            reset -= now.timestamp()
        return min(max(reset, 0.0), _LONGEST_WAIT)
    return 0.0


def _number(text: str) -> float | None:
    text = text.partition(",")[0].strip()
    return float(text) if _NUMBER.fullmatch(text) else None


def http_date(value: str) -> datetime | None:
    """The moment that a header like `Date` says, or None."""
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
