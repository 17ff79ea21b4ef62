"""The claims of a verified id_token as a Launch (LTI Core 1.3, 5.3 and 5.4).

Wrong types in what identifies (message, deployment, user, context, link, roles, reviewed user) make a
BadMessage; wrong types in what decorates or enables (names, titles, custom values, service addresses, return
URL) count as absent, so that one odd claim of a platform does not lock a class out. No input at all raises
anything else than BadMessage.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields, pre_load

from integrations.errors import BadMessage
from integrations.lti import claim_fields
from integrations.lti.claim_fields import (
    CustomParameters,
    Flag,
    Identifier,
    Strings,
    Text,
    Verbatim,
    WebAddress,
)
from integrations.lti.roles import resolve_roles
from integrations.platforms.base import Platform
from integrations.terms import (
    AgsEndpoint,
    CourseRole,
    DeepLinkingSettings,
    Launch,
    LaunchContext,
    LaunchResourceLink,
    MessageType,
    NoticeService,
    PlatformInfo,
    Roles,
)

LTI = "https://purl.imsglobal.org/spec/lti/claim/"
AGS = "https://purl.imsglobal.org/spec/lti-ags/claim/endpoint"
NRPS = "https://purl.imsglobal.org/spec/lti-nrps/claim/namesroleservice"
DEEP_LINKING = "https://purl.imsglobal.org/spec/lti-dl/claim/deep_linking_settings"
NOTICES = "https://purl.imsglobal.org/spec/lti/claim/platformnotificationservice"
VERSION = "1.3.0"
_LOCALE = re.compile(r"[A-Za-z]{2,8}(?:[-_][A-Za-z0-9]{1,8}){0,4}")
_TARGETS = frozenset({"frame", "iframe", "window"})
_MOST_CHILDREN = 50
_LONGEST_NAME = 255


class _Claims(Schema):
    class Meta:
        unknown = EXCLUDE


class _ContextSchema(_Claims):
    id = Identifier(required=True)
    title = Text()
    label = Text()


class _LinkSchema(_Claims):
    id = Identifier(required=True)
    title = Text()


class _ForUserSchema(_Claims):
    """`id` is the name that drafts of Data Privacy Launch used."""

    user_id = Identifier(required=True)

    @pre_load
    def by_its_old_name(self, data: Any, **_: Any) -> Any:
        known = isinstance(data, dict) and "user_id" not in data and "id" in data
        return {**data, "user_id": data["id"]} if known else data


class _AgsSchema(_Claims):
    scope = Strings()
    lineitems = WebAddress()
    lineitem = WebAddress()


class _NrpsSchema(_Claims):
    context_memberships_url = WebAddress()


class _DeepLinkingSchema(_Claims):
    """Deep Linking 2.0, 4.4.1. What the answer depends on is strict; `data` must come back verbatim, so it is
    not cut."""

    deep_link_return_url = WebAddress(required=True)
    accept_types = Strings()
    accept_presentation_document_targets = Strings()
    accept_multiple = Flag()
    accept_lineitem = Flag()
    auto_create = Flag()
    title = Text()
    text = Text(2000)
    data = Verbatim(32_768)


class _NoticesSchema(_Claims):
    """Platform Notification Service 1.0."""

    platform_notification_service_url = WebAddress()
    scope = Strings()
    notice_types_supported = Strings()


class _LegacySchema(_Claims):
    """LTI 1.1 migration claim (Core 1.3, 5.4.6 and the migration guide)."""

    user_id = Text()


class _PresentationSchema(_Claims):
    locale = Text(35)
    document_target = Text(16)
    return_url = WebAddress()


class _LisSchema(_Claims):
    person_sourcedid = Text()


class _PlatformSchema(_Claims):
    product_family_code = Text()
    version = Text()
    guid = Text()
    name = Text()


class _Forgiving(fields.Nested):
    """A claim that counts as empty when it is no object."""

    def __init__(self, schema: type[_Claims]) -> None:
        super().__init__(schema, load_default=dict, allow_none=True)

    def _deserialize(
        self, value: Any, attr: str | None, data: Any, partial: Any = None, **kwargs: Any
    ) -> Any:
        return super()._deserialize(value if isinstance(value, dict) else {}, attr, data, partial, **kwargs)


class _LaunchSchema(_Claims):
    """The claims of every message that we use."""

    iss = Identifier(required=True)
    client_id = Identifier(required=True)
    deployment_id = Identifier(required=True)
    target_link_uri = WebAddress(required=True)
    roles = claim_fields.RoleList(required=True)
    sub = Identifier(load_default=None, allow_none=True)
    context = fields.Nested(_ContextSchema, load_default=None, allow_none=True)
    resource_link = fields.Nested(_LinkSchema, load_default=None, allow_none=True)
    for_user = fields.Nested(_ForUserSchema, load_default=None, allow_none=True)
    given_name = Text()
    family_name = Text()
    name = Text()
    email = Text(254)
    locale = Text(35)
    deep_linking = fields.Nested(_DeepLinkingSchema, load_default=None, allow_none=True)
    notices = _Forgiving(_NoticesSchema)
    legacy = _Forgiving(_LegacySchema)
    placement = Text()
    ags = _Forgiving(_AgsSchema)
    nrps = _Forgiving(_NrpsSchema)
    presentation = _Forgiving(_PresentationSchema)
    lis = _Forgiving(_LisSchema)
    platform = _Forgiving(_PlatformSchema)
    custom = CustomParameters(load_default=dict, allow_none=True)
    role_scope_mentor = Strings(_MOST_CHILDREN)


# Built once: making a schema copies every field, and loading does not change it.
_SCHEMA = _LaunchSchema()
# Our name for each claim that we read.
_PREFIXES = {
    **dict.fromkeys(("iss", "sub", "given_name", "family_name", "name", "email", "locale"), ""),
    **dict.fromkeys(("deployment_id", "target_link_uri", "roles", "context", "resource_link"), LTI),
    **dict.fromkeys(("for_user", "lis", "custom", "role_scope_mentor"), LTI),
}
_CLAIMS = {name: prefix + name for name, prefix in _PREFIXES.items()} | {
    "ags": AGS,
    "nrps": NRPS,
    "deep_linking": DEEP_LINKING,
    "notices": NOTICES,
    "legacy": f"{LTI}lti1p1",
    "presentation": f"{LTI}launch_presentation",
    "platform": f"{LTI}tool_platform",
}


def parse_launch(claims: Mapping[str, Any], *, platform: Platform) -> Launch:
    """A Launch of one of our message types.

    Raises BadMessage: wrong-version, unsupported-message, missing-claim, bad-claim. Without `sub` it is an
    anonymous launch. `platform` says how to write a name and which custom parameter lists a mentor's
    children; that one counts for Mentors only, because teachers can type custom parameters.
    """
    message_type = _message_type(claims)
    loaded = _load(claims, message_type, platform)
    _require_for(message_type, loaded)
    roles = resolve_roles(loaded["roles"])
    presentation = loaded["presentation"] or {}
    target = presentation.get("document_target")
    return Launch(
        message_type=message_type,
        issuer=loaded["iss"],
        client_id=loaded["client_id"],
        deployment_id=loaded["deployment_id"],
        target_link_uri=loaded["target_link_uri"],
        roles=roles,
        sub=loaded["sub"],
        name=_person_name(loaded, platform),
        email=loaded["email"] if "@" in (loaded["email"] or "") else None,
        locale=_locale(loaded),
        sis_id=(loaded["lis"] or {}).get("person_sourcedid"),
        context=LaunchContext(**loaded["context"]) if loaded["context"] else None,
        resource_link=LaunchResourceLink(**loaded["resource_link"]) if loaded["resource_link"] else None,
        ags=_ags(loaded["ags"] or {}),
        nrps_url=(loaded["nrps"] or {}).get("context_memberships_url"),
        return_url=presentation.get("return_url"),
        document_target=target if target in _TARGETS else None,
        mentor_of=tuple(dict.fromkeys(loaded["role_scope_mentor"] or ())),
        observees=_observees(loaded, roles, platform),
        for_user=loaded["for_user"]["user_id"] if loaded["for_user"] else None,
        custom=loaded["custom"] or {},
        platform=_platform_info(loaded["platform"] or {}),
        deep_linking=_deep_linking(loaded) if message_type is MessageType.DEEP_LINKING else None,
        notices=_notices(loaded["notices"] or {}),
        legacy_user_id=_legacy_user_id(claims, loaded),
    )


def _message_type(claims: Mapping[str, Any]) -> MessageType:
    for name in ("version", "message_type"):
        if LTI + name not in claims:
            raise BadMessage("missing-claim", name)
    if claims[f"{LTI}version"] != VERSION:
        raise BadMessage("wrong-version")
    try:
        return MessageType(claims[f"{LTI}message_type"])
    except (ValueError, TypeError) as error:
        raise BadMessage("unsupported-message") from error


def _load(claims: Mapping[str, Any], message_type: MessageType, platform: Platform) -> dict[str, Any]:
    flat = {name: claims[claim] for name, claim in _CLAIMS.items() if claim in claims}
    if message_type is not MessageType.DEEP_LINKING:
        flat.pop("deep_linking", None)  # decoration, where no answer is wanted
    if platform.placement_claim in claims:
        flat["placement"] = claims[platform.placement_claim]
    try:
        loaded: dict[str, Any] = _SCHEMA.load({**flat, "client_id": _client_id(claims)})
    except ValidationError as error:
        # Claim names only: the values are personal data.
        names = ", ".join(sorted(map(str, error.messages_dict)))
        missing = "missing-claim" in str(error.messages_dict)
        raise BadMessage("missing-claim" if missing else "bad-claim", names) from error
    return loaded


def _client_id(claims: Mapping[str, Any]) -> Any:
    """`azp` where several clients are addressed (OpenID Connect Core, 2)."""
    audience = claims.get("aud")
    if isinstance(audience, list):
        return audience[0] if len(audience) == 1 else claims.get("azp")
    return audience


def _require_for(message_type: MessageType, loaded: Mapping[str, Any]) -> None:
    """Core 5.3.5: a link launch names its link; Submission Review 1.0: a review names whose work it is; Deep
    Linking 2.0, 4.4: a request says where its answer goes and what it may hold."""
    if message_type is MessageType.RESOURCE_LINK and loaded["resource_link"] is None:
        raise BadMessage("missing-claim", "resource_link")
    if message_type is MessageType.SUBMISSION_REVIEW and loaded["for_user"] is None:
        raise BadMessage("missing-claim", "for_user")
    if message_type is MessageType.DEEP_LINKING:
        if loaded["deep_linking"] is None:
            raise BadMessage("missing-claim", "deep_linking_settings")
        if not loaded["deep_linking"]["accept_types"]:
            raise BadMessage("bad-claim", "accept_types")


def _deep_linking(loaded: Mapping[str, Any]) -> DeepLinkingSettings:
    said = loaded["deep_linking"]
    return DeepLinkingSettings(
        return_url=said["deep_link_return_url"],
        accept_types=frozenset(said["accept_types"]),
        accept_targets=tuple(said["accept_presentation_document_targets"]),
        accept_multiple=said["accept_multiple"],
        accept_line_item=said["accept_lineitem"],
        auto_create=said["auto_create"],
        title=said["title"],
        text=said["text"],
        data=said["data"],
        placement=loaded["placement"],
    )


def _notices(said: Mapping[str, Any]) -> NoticeService | None:
    url = said.get("platform_notification_service_url")
    if not url:
        return None
    return NoticeService(
        url, frozenset(said.get("scope") or ()), frozenset(said.get("notice_types_supported") or ())
    )


def _legacy_user_id(claims: Mapping[str, Any], loaded: Mapping[str, Any]) -> str | None:
    """The migration claim's, or the claim that one platform sends to everybody beside it."""
    beside = claims.get(f"{LTI}lti11_legacy_user_id")
    said = (loaded["legacy"] or {}).get("user_id")
    return said or (beside if isinstance(beside, str) and claim_fields.is_identifier(beside) else None)


def _person_name(loaded: Mapping[str, Any], platform: Platform) -> str | None:
    name = platform.person_name(loaded["given_name"], loaded["family_name"], loaded["name"], _locale(loaded))
    return name[:_LONGEST_NAME] if name else None


def _ags(ags: Mapping[str, Any]) -> AgsEndpoint | None:
    if not ags.get("lineitems") and not ags.get("lineitem"):
        return None
    return AgsEndpoint(frozenset(ags.get("scope") or ()), ags.get("lineitems"), ags.get("lineitem"))


def _observees(loaded: Mapping[str, Any], roles: Roles, platform: Platform) -> tuple[str, ...]:
    if not platform.mentor_custom_key or roles.course_role is not CourseRole.MENTOR:
        return ()
    listed = [
        child.strip() for child in (loaded["custom"] or {}).get(platform.mentor_custom_key, "").split(",")
    ]
    return tuple(dict.fromkeys(filter(claim_fields.is_identifier, listed)))[:_MOST_CHILDREN]


def _locale(loaded: Mapping[str, Any]) -> str | None:
    locale = (loaded["presentation"] or {}).get("locale") or loaded["locale"]
    return locale if locale and _LOCALE.fullmatch(locale) else None


def _platform_info(info: Mapping[str, Any]) -> PlatformInfo:
    names = ("product_family_code", "version", "guid", "name")
    return PlatformInfo(*map(info.get, names))
