"""Platform Notification Service 1.0: asking for notices, and reading those that come.

A notice is a signed JWT like an id_token, but nobody's browser brings it and it names no user.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import jwt
from marshmallow import EXCLUDE, Schema, ValidationError, fields

from integrations.errors import BadMessage
from integrations.http import PlatformHttp
from integrations.lti.claim_fields import Identifier, Strings, is_identifier
from integrations.lti.claims import LTI, VERSION
from integrations.lti.service_calls import ServiceCalls, good
from integrations.lti.tokens import TokenSource
from integrations.terms import Notice, ServiceAccess

SCOPE_NOTICES = "https://purl.imsglobal.org/spec/lti/scope/noticehandlers"
HELLO_WORLD = "LtiHelloWorldNotice"
CONTEXT_COPY = "LtiContextCopyNotice"
#: What this tool can do something with.
WANTED: tuple[str, ...] = (HELLO_WORLD, CONTEXT_COPY)
_MOST_ORIGINS = 20
_MAX_BYTES = 65_536


class NoticeClient:
    """Registers handlers at a platform."""

    def __init__(self, http: PlatformHttp, tokens: TokenSource) -> None:
        self._call = ServiceCalls(http, tokens).call

    def register(self, access: ServiceAccess, url: str, notice_type: str, handler: str) -> None:
        """Have notices of a type sent to `handler` from now on; the same again changes nothing.

        Raises PlatformRejected and PlatformUnavailable.
        """
        body = json.dumps({"notice_type": notice_type, "handler": handler}).encode()
        headers = {"Content-Type": "application/json"}
        good(self._call(access, [SCOPE_NOTICES], "PUT", url, headers, body, _MAX_BYTES))


class _NoticeSchema(Schema):
    class Meta:
        unknown = EXCLUDE

    id = Identifier(required=True)
    type = Identifier(required=True)


class _ContextSchema(Schema):
    class Meta:
        unknown = EXCLUDE

    id = Identifier(required=True)


class _ClaimsSchema(Schema):
    """The claims that we use. A hello names an account of the platform as its context, or nothing."""

    class Meta:
        unknown = EXCLUDE

    deployment_id = Identifier(required=True)
    notice = fields.Nested(_NoticeSchema, required=True)
    context = fields.Nested(_ContextSchema, load_default=None, allow_none=True)
    origin_contexts = Strings(_MOST_ORIGINS)


_CLAIMS = _ClaimsSchema()


def addressee(token: str) -> tuple[str, str]:
    """(issuer, client id) as an unverified notice says it: enough to look for the registration whose keys
    decide, and good for nothing else. Raises BadMessage."""
    try:
        claims = jwt.decode(token, options={"verify_signature": False})
    except (jwt.InvalidTokenError, ValueError, RecursionError) as error:
        raise BadMessage("malformed-token") from error
    issuer, client = claims.get("iss"), claims.get("aud")
    if isinstance(client, list):
        client = client[0] if len(client) == 1 else claims.get("azp")
    if not (isinstance(issuer, str) and isinstance(client, str)):
        raise BadMessage("bad-claim", "iss, aud")
    if not (is_identifier(issuer) and is_identifier(client)):
        raise BadMessage("bad-claim", "iss, aud")
    return issuer, client


def parse_notice(claims: Mapping[str, Any]) -> Notice:
    """A Notice of the verified claims of one. Raises BadMessage."""
    if claims.get(f"{LTI}version") != VERSION:
        raise BadMessage("wrong-version")
    names = ("deployment_id", "notice", "context", "origin_contexts")
    try:
        said = _CLAIMS.load({name: claims[LTI + name] for name in names if LTI + name in claims})
    except ValidationError as error:
        raise BadMessage("bad-claim", ", ".join(sorted(map(str, error.messages_dict)))) from error
    context = said["context"]
    return Notice(
        id=said["notice"]["id"],
        notice_type=said["notice"]["type"],
        deployment_id=said["deployment_id"],
        context_id=context["id"] if context else None,
        origin_context_ids=tuple(said["origin_contexts"] or ()),
    )
