"""The last exchange with a platform that failed, as its administrator may see it."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from integrations.errors import Exchange
from lti_app.delivery.models import FailedExchange
from lti_app.extensions import db, insert_into

SHOWN = 500
_LOOKED_AT = 16_384
GONE = "…"
# All that a request of ours may show. Whoever it is about, and what was said to them, is in other members.
_PLAIN_MEMBERS = frozenset(
    {
        *("activityProgress", "gradingProgress", "scoreGiven", "scoreMaximum", "timestamp", "submittedAt"),
        *("label", "resourceId", "tag", "startDateTime", "endDateTime"),
        *("grant_type", "scope", "client_assertion_type"),
    }
)
_PERSONAL_MEMBER = re.compile(
    r"user|name|mail|login|comment|sub$|^sub|token|secret|assertion|person|picture", re.I
)
# Bounded on the left of what must follow: else a long run of letters takes time that grows with its square.
_PERSONAL = re.compile(
    r"""
    eyJ[\w-]{0,400}\.[\w-]+(\.[\w-]*)?            # JWT
  | [\w.+%-]{1,64}(@|%40)[\w-]+(\.[\w-]+)*        # e-mail
  | \b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b # UUID
  | \bBearer\s+\S+
  | (?=[\w+/=-]{0,100}\d)[\w+/=-]{20,}            # what looks like a token
  | \d{6,}
    """,
    re.I | re.X | re.A,
)
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d)")


@dataclass(frozen=True, slots=True)
class FailedCall:
    """An exchange as it was, the code of what it meant, and the words that say who it was about."""

    code: str
    exchange: Exchange
    private: Collection[str] = ()


def note(registration_id: int, call: FailedCall, now: datetime) -> None:
    """Keep it as the registration's last failed exchange, without tokens and personal data."""
    exchange = call.exchange
    values = {
        "at": now,
        "code": call.code[:64],
        "method": exchange.method[:8],
        "url": clean_url(exchange.url, call.private),
        "status": exchange.status,
        "content_type": _storable(clean(exchange.content_type[:SHOWN], call.private))[:120],
        "request": clean_request(exchange.request, call.private),
        "answer": clean_answer(exchange.answer, call.private),
    }
    db.session.execute(
        insert_into(FailedExchange)
        .values(registration_id=registration_id, **values)
        .on_conflict_do_update(index_elements=["registration_id"], set_=values)
    )


def clean_url(url: str, private: Collection[str] = ()) -> str:
    """The address without its query, and without what may say who somebody is."""
    parts = urlsplit(url)
    path = "/".join(clean(step, private) for step in parts.path.split("/"))
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{path}"


def clean_request(body: bytes, private: Collection[str] = ()) -> str:
    """A request body of ours: of JSON and forms the members that are known to be harmless, of others nothing."""
    try:
        value = json.loads(body)
    except ValueError:
        value = dict(parse_qsl(body.decode("utf-8", "replace")))
    shown = _harmless(value, private) if isinstance(value, dict) and value else ""
    return json.dumps(shown, ensure_ascii=False)[:SHOWN] if shown else ""


def clean_answer(body: bytes, private: Collection[str] = ()) -> str:
    """The beginning of what the platform answered, without what says who somebody is, as far as that can be
    recognised."""
    text = body[:_LOOKED_AT].decode("utf-8", "replace")
    try:
        text = json.dumps(_without_persons(json.loads(text), private), ensure_ascii=False)
    except (ValueError, RecursionError):
        text = clean(text, private)
    return " ".join(_storable(text).split())[:SHOWN]


def clean(text: str, private: Collection[str] = ()) -> str:
    """`text` without these words and whatever looks like a token, an id or an e-mail address."""
    for word in sorted(private, key=len, reverse=True):
        # A short id is found as a word of its own; elsewhere it would be half of another word.
        pattern = rf"(?<!\w){re.escape(word)}(?!\w)" if len(word) < 4 else re.escape(word)
        text = re.sub(pattern, GONE, text, flags=re.I)
    return "".join(
        part if _MOMENT.fullmatch(part) else _PERSONAL.sub(GONE, part)
        for part in re.split(f"({_MOMENT.pattern})", text)
    )


def _storable(text: str) -> str:
    """Without what a database refuses: a platform's JSON may hold half a pair of surrogates, its headers 0."""
    return text.encode("utf-8", "replace").decode().replace("\x00", "")


def _harmless(value: dict[str, Any], private: Collection[str]) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for name, member in value.items():
        if isinstance(member, dict):  # also a platform's own extensions: of them what is true or false
            shown[name] = _harmless(member, private)
        elif name not in _PLAIN_MEMBERS and not isinstance(member, bool):
            shown[name] = GONE
        else:
            shown[name] = clean(member, private) if isinstance(member, str) and name != "scope" else member
    return shown


def _without_persons(value: Any, private: Collection[str]) -> Any:
    if isinstance(value, dict):
        return {
            clean(name, private): GONE if _PERSONAL_MEMBER.search(name) else _without_persons(member, private)
            for name, member in value.items()
        }
    if isinstance(value, list):
        return [_without_persons(one, private) for one in value[:20]]
    if isinstance(value, str):
        return clean(value, private)
    if isinstance(value, int | float) and abs(value) >= 100_000:
        return GONE
    return value
