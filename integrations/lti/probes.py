"""One honest try of each service a connection needs, with what the answer shows.

For telling an administrator what works. Nothing here is cached, repeated or read past its first page.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from marshmallow import EXCLUDE, Schema, ValidationError, fields

from integrations.errors import PlatformUnavailable
from integrations.http import AddressPolicy, HttpAnswer, PlatformHttp, json_object
from integrations.lti.ags import (
    SCOPE_LINE_ITEM,
    SCOPE_LINE_ITEM_READ,
    SCOPE_RESULT_READ,
    SCOPE_SCORE,
)
from integrations.lti.claim_fields import Text
from integrations.lti.jwks import signing_keys
from integrations.lti.notices import SCOPE_NOTICES
from integrations.lti.nrps import MEMBERS_TYPE, SCOPE_MEMBERSHIP
from integrations.lti.service_calls import ServiceCalls, good, linked
from integrations.lti.tokens import TokenSource, granted_scopes, refusal_code
from integrations.platforms.base import Platform
from integrations.terms import ServiceAccess

#: Everything a tool may be granted, in the order to show it.
SCOPES: tuple[str, ...] = (
    SCOPE_SCORE,
    SCOPE_LINE_ITEM,
    SCOPE_LINE_ITEM_READ,
    SCOPE_RESULT_READ,
    SCOPE_MEMBERSHIP,
    SCOPE_NOTICES,
)


@dataclass(frozen=True, slots=True)
class KeySetSeen:
    """A platform's key set: how many keys can verify its messages."""

    keys: int
    clock_ahead: timedelta | None


@dataclass(frozen=True, slots=True)
class TokenSeen:
    """What the token endpoint gave. `refusal` is None, or a code of `TokenSource.token`, or the more exact
    one that the platform's adapter knows. `clock_ahead` is how far its clock is before ours."""

    granted: frozenset[str]
    refusal: str | None
    clock_ahead: timedelta | None
    status: int


@dataclass(frozen=True, slots=True)
class RosterSeen:
    """The first page of a class's members: how many, and how many with what."""

    members: int
    with_name: int
    with_email: int
    has_more: bool


class _MemberSchema(Schema):
    class Meta:
        unknown = EXCLUDE

    name = Text()
    given_name = Text()
    family_name = Text()
    email = Text(254)


class _PageSchema(Schema):
    """NRPS 2.0, 2.2."""

    class Meta:
        unknown = EXCLUDE

    members = fields.List(fields.Nested(_MemberSchema), required=True)


_PAGE = _PageSchema()


class Probes:
    """Asks over the application's own network and token source."""

    def __init__(self, http: PlatformHttp, tokens: TokenSource) -> None:
        self._http = http
        self._tokens = tokens
        self._call = ServiceCalls(http, tokens).call

    def key_set(self, url: str, policy: AddressPolicy) -> KeySetSeen:
        """Raises PlatformError."""
        sent = datetime.now(UTC)
        answer = self._http.request("GET", url, policy=policy, headers={"Accept": "application/json"})
        return KeySetSeen(signing_keys(answer), _clock_ahead(answer, sent))

    def token(self, access: ServiceAccess, platform: Platform) -> TokenSeen:
        """Which of SCOPES the platform grants, by its tokens and by nothing else.

        Some platforms grant what they allow of a list, others refuse the list for one that they do not allow:
        then each is asked for alone. Raises PlatformError when there is no answer to judge.
        """
        sent = datetime.now(UTC)
        answer = self._tokens.ask(access, SCOPES)
        ahead = _clock_ahead(answer, sent)
        if answer.status in (200, 201):
            return TokenSeen(granted_scopes(answer, SCOPES), None, ahead, answer.status)
        refusal = self._refusal(answer, platform)
        if refusal not in ("scope-not-granted", "invalid-request"):
            return TokenSeen(frozenset(), refusal, ahead, answer.status)
        granted = frozenset().union(*(self._alone(access, scope) for scope in SCOPES))
        return TokenSeen(granted, None if granted else refusal, ahead, answer.status)

    def roster(self, access: ServiceAccess, url: str) -> RosterSeen:
        """Raises PlatformError."""
        answer = good(self._call(access, [SCOPE_MEMBERSHIP], "GET", url, {"Accept": MEMBERS_TYPE}))
        try:
            members = _PAGE.load(json_object(answer))["members"]
        except ValidationError as error:
            raise PlatformUnavailable("broken-answer", "no member list", status=answer.status) from error
        return RosterSeen(
            members=len(members),
            with_name=sum(any(one[key] for key in ("name", "given_name", "family_name")) for one in members),
            with_email=sum(bool(one["email"]) for one in members),
            has_more=linked(answer, url, "next") is not None,
        )

    def _alone(self, access: ServiceAccess, scope: str) -> frozenset[str]:
        answer = self._tokens.ask(access, [scope])
        return granted_scopes(answer, [scope]) if answer.status in (200, 201) else frozenset()

    def _refusal(self, answer: HttpAnswer, platform: Platform) -> str:
        return platform.explain_token_failure(answer) or refusal_code(answer)


def _clock_ahead(answer: HttpAnswer, sent: datetime) -> timedelta | None:
    """How far the platform's clock is before ours, to a second or two; None when it does not tell."""
    received = datetime.now(UTC)
    try:
        said = parsedate_to_datetime(answer.header("Date"))
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    said = said if said.tzinfo else said.replace(tzinfo=UTC)
    if sent - timedelta(seconds=1) <= said <= received:
        return timedelta()
    return said - received if said > received else said - sent
