"""The answer to a platform's request for content: a signed list of links (LTI Deep Linking 2.0, 4.5).

What a platform takes, and in which form, is its adapter's business (`Platform.content_rules`,
`Platform.content_item`); here is the standard's JSON, and the message around it.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jwt

from integrations.lti.claims import LTI, VERSION
from integrations.platforms.base import RESOURCE_LINK, Platform, json_number, timestamp_text
from integrations.terms import ContentColumn, ContentItem, DeepLinkingSettings, Period

DL = "https://purl.imsglobal.org/spec/lti-dl/claim/"
_SECONDS = 300
# Some platforms allow no leeway: an `iat` three seconds ahead of their clock is refused.
_BACKDATED = 5


@dataclass(frozen=True, slots=True)
class Answerer:
    """Who answers whom: our client id at the issuer, the deployment that asked, and the key that signs.

    `private_key` is a loaded RSA key object, `kid` its id in our published key set.
    """

    issuer: str
    client_id: str
    deployment_id: str
    kid: str
    private_key: object


def response_jwt(
    answerer: Answerer,
    said: DeepLinkingSettings,
    items: Sequence[ContentItem],
    *,
    platform: Platform,
    collection: str = "",
    message: str | None = None,
    log: str | None = None,
    error_message: str | None = None,
) -> str:
    """The signed answer, good for five minutes; no items means that nothing was chosen.

    `collection` names all items together, `message` and `error_message` are for the person there, `log` is
    for the platform's records. `data` goes back exactly as it came, and only if it came.
    """
    now = int(time.time())
    claims: dict[str, Any] = {
        "iss": answerer.client_id,
        "aud": answerer.issuer,
        "iat": now - _BACKDATED,
        "exp": now + _SECONDS,
        "nonce": secrets.token_urlsafe(24),
        f"{LTI}message_type": "LtiDeepLinkingResponse",
        f"{LTI}version": VERSION,
        f"{LTI}deployment_id": answerer.deployment_id,
        f"{DL}content_items": [item_json(platform.content_item(item)) for item in items],
        f"{DL}data": said.data,
        f"{DL}msg": message,
        f"{DL}log": log,
        f"{DL}errormsg": error_message,
        **(platform.answer_claims(collection) if items and collection else {}),
    }
    key: Any = answerer.private_key
    told = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(told, key, "RS256", headers={"kid": answerer.kid})


def item_json(item: ContentItem) -> dict[str, Any]:
    """An `ltiResourceLink` (Deep Linking 2.0, 3.2); what is not said is left out."""
    body: dict[str, Any] = {"type": RESOURCE_LINK, "url": item.url, "title": item.title, "text": item.text}
    body["custom"] = dict(item.custom) or None
    body["lineItem"] = _column(item.column) if item.column else None
    body["available"] = _period(item.available)
    body["submission"] = _period(item.submission)
    if item.new_window:
        body["window"] = {"targetName": "_blank"}
    return _said(body)


def _column(column: ContentColumn) -> dict[str, Any]:
    return _said(
        {
            "scoreMaximum": json_number(column.maximum),
            "label": column.label,
            "resourceId": column.resource_id,
            "tag": column.tag,
            "gradesReleased": column.grades_released,
        }
    )


def _period(period: Period) -> dict[str, str] | None:
    ends = {"startDateTime": period.start, "endDateTime": period.end}
    return {name: timestamp_text(moment) for name, moment in ends.items() if moment is not None} or None


def _said(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if value is not None}
