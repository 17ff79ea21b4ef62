"""Names and Role Provisioning Services 2.0: who is in a course, page by page.

The media type is part of the interface: Moodle refuses `application/json` here (capture 25).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields, post_load, validates_schema

from integrations.errors import PlatformUnavailable
from integrations.http import MEGABYTE, HttpAnswer, PlatformHttp, json_object
from integrations.lti.claim_fields import CustomParameters, Identifier, RoleList, Text
from integrations.lti.roles import resolve_roles
from integrations.lti.service_calls import ServiceCalls, good, linked, with_query
from integrations.lti.tokens import TokenSource
from integrations.platforms.base import Platform
from integrations.terms import Member, MemberPage, MemberStatus, ServiceAccess

SCOPE_MEMBERSHIP = "https://purl.imsglobal.org/spec/lti-nrps/scope/contextmembership.readonly"
MEMBERS_TYPE = "application/vnd.ims.lti-nrps.v2.membershipcontainer+json"
#: Some platforms ignore `limit` and send a whole course: 10,000 members are about 5 MB.
MOST_BYTES = 16 * MEGABYTE
MOST_PAGES = 5_000

_CUSTOM = "https://purl.imsglobal.org/spec/lti/claim/custom"
_STATUSES = {status.lower(): status for status in MemberStatus}


class _Status(fields.Field):
    """Active where the platform does not say (NRPS 2.0, 2.2); a word that is none of the three is an error."""

    def __init__(self) -> None:
        super().__init__(load_default=MemberStatus.ACTIVE, allow_none=True)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> MemberStatus:
        status = _STATUSES.get(value.strip().lower()) if isinstance(value, str) else None
        if status is None:
            raise ValidationError("bad-status")
        return status


class _MemberSchema(Schema):
    """NRPS 2.0, 2.2. Who is not active may have no roles any more."""

    class Meta:
        unknown = EXCLUDE

    user_id = Identifier(required=True)
    roles = RoleList(load_default=list, allow_none=True)
    status = _Status()
    name = Text()
    given_name = Text()
    family_name = Text()
    email = Text(254)
    lis_person_sourcedid = Text()
    lti11_legacy_user_id = Text()
    message = fields.Raw(load_default=None, allow_none=True)

    @validates_schema(skip_on_field_errors=True)
    def active_people_have_roles(self, data: dict[str, Any], **_: Any) -> None:
        if not data["roles"] and data["status"] in (None, MemberStatus.ACTIVE):
            raise ValidationError("missing", "roles")

    @post_load
    def filled(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        return data | {"roles": data["roles"] or [], "status": data["status"] or MemberStatus.ACTIVE}


_MEMBER, _PARAMETERS = _MemberSchema(), CustomParameters()


class NrpsClient:
    """Reads rosters.

    Raises PlatformRejected (token-refused, forbidden, not-found, refused) and PlatformUnavailable
    (platform-busy, broken-answer, foreign-next-page, too-many-pages), besides what TokenSource (above all
    scope-not-granted) and PlatformHttp (above all too-large) raise.
    """

    def __init__(self, http: PlatformHttp, tokens: TokenSource) -> None:
        self._call = ServiceCalls(http, tokens).call

    def pages(
        self, access: ServiceAccess, url: str, platform: Platform, *, already: int = 0
    ) -> Iterator[MemberPage]:
        """The pages from `url` on, each read when it is asked for; at most one is in memory.

        `url` is of `first_page`, or the `next_url` or `differences_url` of an earlier page; `already` is how
        many pages were read before it. An error means that what came so far is not the whole roster.
        """
        seen: set[str] = set()
        page: str | None = url
        while page is not None:
            if page in seen or already + len(seen) >= MOST_PAGES:
                raise PlatformUnavailable("too-many-pages")
            seen.add(page)
            read = self._page(access, page, platform)
            yield read
            page = read.next_url

    def _page(self, access: ServiceAccess, url: str, platform: Platform) -> MemberPage:
        answer = self._call(
            access, [SCOPE_MEMBERSHIP], "GET", url, {"Accept": MEMBERS_TYPE}, max_bytes=MOST_BYTES
        )
        return _read(good(answer), url, platform)


def first_page(url: str, platform: Platform, *, rlid: str | None = None, role: str | None = None) -> str:
    """Where reading begins (NRPS 2.0, 2.4 and 3.1): at the address that a launch gave, in pages of a size
    that this platform takes. `rlid`: only who may open that resource link; `role`: only who has that role.
    """
    wanted = {"limit": str(platform.roster_page_size), "rlid": rlid, "role": role}
    return with_query(url, {name: value for name, value in wanted.items() if value})


def _read(answer: HttpAnswer, url: str, platform: Platform) -> MemberPage:
    entries = json_object(answer).get("members")
    if not isinstance(entries, list):
        raise PlatformUnavailable("broken-answer", "no list of members", status=answer.status)
    members = [_member(entry, platform) for entry in entries]
    readable = tuple(member for member in members if member is not None)
    return MemberPage(
        members=readable,
        next_url=linked(answer, url, "next"),
        differences_url=_differences(answer, url),
        unreadable=len(members) - len(readable),
    )


def _differences(answer: HttpAnswer, url: str) -> str | None:
    """NRPS 2.0, 2.4.3. An offer that cannot be used is none."""
    try:
        return linked(answer, url, "differences")
    except PlatformUnavailable:
        return None


def _member(entry: Any, platform: Platform) -> Member | None:
    """None for an entry that says nothing usable: one odd entry must not lose a class."""
    try:
        said = _MEMBER.load(entry)
    except ValidationError:
        return None
    return Member(
        user_id=said["user_id"],
        roles=resolve_roles(said["roles"]),
        status=said["status"],
        name=platform.person_name(said["given_name"], said["family_name"], said["name"], None),
        email=said["email"] if "@" in (said["email"] or "") else None,
        sis_id=said["lis_person_sourcedid"],
        legacy_user_id=said["lti11_legacy_user_id"],
        custom=_custom(said["message"]),
    )


def _custom(messages: Any) -> dict[str, str]:
    """The custom parameters of the first message that has some (NRPS 2.0, 3.2)."""
    for message in messages if isinstance(messages, list) else []:
        if isinstance(message, dict) and message.get(_CUSTOM):
            return dict(_PARAMETERS.deserialize(message[_CUSTOM]) or {})
    return {}
