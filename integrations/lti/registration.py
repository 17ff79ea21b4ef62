"""A tool registers itself with a platform (1EdTech LTI Dynamic Registration 1.0).

The platform's configuration is read, the tool describes itself, the platform answers with a client id. What
the platform will really grant is not in its answer (one says "granted" for scopes that its token endpoint
refuses): tokens and launches tell.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NoReturn
from urllib.parse import urlsplit

from marshmallow import EXCLUDE, Schema, ValidationError, fields

from integrations.addresses import check_url
from integrations.errors import BadMessage, PlatformError, PlatformRejected, PlatformUnavailable
from integrations.http import AddressPolicy, HttpAnswer, PlatformHttp, json_object, retry_after
from integrations.lti.ags import (
    SCOPE_LINE_ITEM,
    SCOPE_LINE_ITEM_READ,
    SCOPE_RESULT_READ,
    SCOPE_SCORE,
)
from integrations.lti.claim_fields import Identifier, Strings, Text, WebAddress, is_identifier
from integrations.lti.notices import SCOPE_NOTICES
from integrations.lti.nrps import SCOPE_MEMBERSHIP
from integrations.platforms.base import Platform
from integrations.platforms.registry import family_hint, platform_for
from integrations.terms import (
    PlatformConfiguration,
    RegisteredTool,
    RegistrationWishes,
    ToolDescription,
)

PLATFORM_MEMBER = "https://purl.imsglobal.org/spec/lti-platform-configuration"
TOOL_MEMBER = "https://purl.imsglobal.org/spec/lti-tool-configuration"
SCOPES = (
    SCOPE_LINE_ITEM,
    SCOPE_LINE_ITEM_READ,
    SCOPE_RESULT_READ,
    SCOPE_SCORE,
    SCOPE_MEMBERSHIP,
    SCOPE_NOTICES,
)
"""What this tool uses, where a platform has it."""

_BASIC_CLAIMS = ("iss", "sub", "locale")
_PERSONAL_CLAIMS = ("name", "given_name", "family_name", "email")
_MAX_BYTES = 524_288
_MOST_MESSAGES = 50
_LONGEST_WORDS = 300
_TOKEN = re.compile(r"[\x21-\x7e]{1,8192}")


class _Listed(Schema):
    class Meta:
        unknown = EXCLUDE


class _MessageSchema(_Listed):
    type = Identifier(required=True)
    placements = Strings(200)


class _PlatformSchema(_Listed):
    product_family_code = Text()
    version = Text()
    messages_supported = fields.Raw(load_default=list)


class _ConfigurationSchema(_Listed):
    """OpenID Provider metadata with the platform's part (Dynamic Registration 1.0, 3.4)."""

    issuer = Identifier(required=True)
    authorization_endpoint = WebAddress(required=True)
    token_endpoint = WebAddress(required=True)
    jwks_uri = WebAddress(required=True)
    registration_endpoint = WebAddress(required=True)
    scopes_supported = Strings()
    authorization_server = Text()
    platform = fields.Raw(data_key=PLATFORM_MEMBER, load_default=dict)


class _AnswerSchema(_Listed):
    """A client registration response (OpenID Connect Dynamic Client Registration 1.0, 3.2)."""

    client_id = fields.Raw(required=True)
    deployment_id = fields.Raw(load_default=None)
    tool = fields.Raw(data_key=TOOL_MEMBER, load_default=dict)


_CONFIGURATION, _PLATFORM, _MESSAGE, _ANSWER = (
    _ConfigurationSchema(),
    _PlatformSchema(),
    _MessageSchema(),
    _AnswerSchema(),
)


def is_registration_token(text: str) -> bool:
    """Whether `text` may be sent as a bearer token: printable ASCII without spaces, at most 8 KB."""
    return _TOKEN.fullmatch(text) is not None


def platform_of(configuration: PlatformConfiguration) -> Platform:
    """The adapter for what the platform says it is; the standard's where that says us nothing."""
    return platform_for(family_hint(configuration.family) or "generic")


def fetch_configuration(
    http: PlatformHttp, url: str, token: str | None, policy: AddressPolicy
) -> PlatformConfiguration:
    """The configuration at `url`, whose every address satisfies `policy` as far as it can be seen.

    Raises BadMessage (bad-token, bad-configuration, foreign-issuer), AddressRefused, PlatformRejected
    (configuration-refused) and PlatformUnavailable (configuration-unavailable, broken-answer and those of
    PlatformHttp).
    """
    answer = http.request("GET", url, policy=policy, headers=_headers(token), max_bytes=_MAX_BYTES)
    if answer.status != 200:
        _raise_for(answer, "configuration-refused", "configuration-unavailable")
    configuration = _configuration(json_object(answer))
    platform = platform_of(configuration)
    if not platform.owns_issuer(configuration.issuer, url):
        raise BadMessage("foreign-issuer", f"{urlsplit(url).hostname} may not speak for this issuer")
    for address in (
        configuration.auth_url,
        configuration.token_url,
        configuration.jwks_url,
        configuration.registration_url,
    ):
        check_url(address, policy)
    return configuration


def scopes_for(configuration: PlatformConfiguration) -> list[str]:
    """The scopes to ask for: all of ours that the platform has (one refuses a request with any other)."""
    if not configuration.scopes:
        return [scope for scope in SCOPES if scope != SCOPE_NOTICES]
    return [scope for scope in SCOPES if scope in configuration.scopes]


def registration_request(
    tool: ToolDescription, configuration: PlatformConfiguration, wishes: RegistrationWishes
) -> dict[str, Any]:
    """The JSON by which the tool registers (Dynamic Registration 1.0, 3.6)."""
    platform = platform_of(configuration)
    claims = [*_BASIC_CLAIMS, *(_PERSONAL_CLAIMS if wishes.with_names else ())]
    return {
        "application_type": "web",
        "response_types": ["id_token"],
        "grant_types": ["implicit", "client_credentials"],
        "client_name": tool.name,
        "client_uri": tool.home_url,
        "logo_uri": tool.logo_url,
        "initiate_login_uri": tool.login_url,
        "redirect_uris": [tool.launch_url],
        "jwks_uri": tool.jwks_url,
        "token_endpoint_auth_method": "private_key_jwt",
        "scope": " ".join(scopes_for(configuration)),
        TOOL_MEMBER: {
            "domain": platform.tool_domain(tool.launch_url),
            "description": tool.description,
            "target_link_uri": tool.launch_url,
            "custom_parameters": dict(platform.custom_variables),
            "claims": claims,
            "messages": platform.registration_messages(tool, configuration, wishes),
            **platform.registration_members(wishes),
        },
    }


def register_tool(
    http: PlatformHttp,
    configuration: PlatformConfiguration,
    token: str | None,
    request: Mapping[str, Any],
    policy: AddressPolicy,
) -> RegisteredTool:
    """Send a registration request.

    Raises PlatformRejected (registration-token-refused, registration-refused; its text holds the platform's
    own words), PlatformUnavailable (registration-unavailable, broken-answer and those of PlatformHttp),
    AddressRefused and BadMessage (bad-token).
    """
    answer = http.request(
        "POST",
        configuration.registration_url,
        policy=policy,
        headers={**_headers(token), "Content-Type": "application/json"},
        body=json.dumps(request, ensure_ascii=False).encode(),
        max_bytes=_MAX_BYTES,
    )
    if answer.status in (401, 403):
        raise PlatformRejected("registration-token-refused", _words(answer), status=answer.status)
    if answer.status not in (200, 201):
        _raise_for(answer, "registration-refused", "registration-unavailable")
    return _registered(json_object(answer))


def _headers(token: str | None) -> dict[str, str]:
    """Some platforms have no token, and none must be made up for them: then the header is left out."""
    headers = {"Accept": "application/json"}
    if token:
        if not is_registration_token(token):
            raise BadMessage("bad-token")
        headers["Authorization"] = f"Bearer {token}"
    return headers


def _configuration(body: dict[str, Any]) -> PlatformConfiguration:
    try:
        loaded = _CONFIGURATION.load(body)
    except ValidationError as error:
        raise BadMessage("bad-configuration", ", ".join(sorted(map(str, error.messages_dict)))) from error
    own = loaded["platform"] if isinstance(loaded["platform"], dict) else {}
    said = _PLATFORM.load(own)
    organisation = platform_for(family_hint(said["product_family_code"]) or "generic").organisation_member
    return PlatformConfiguration(
        issuer=loaded["issuer"],
        auth_url=loaded["authorization_endpoint"],
        token_url=loaded["token_endpoint"],
        jwks_url=loaded["jwks_uri"],
        registration_url=loaded["registration_endpoint"],
        scopes=frozenset(loaded["scopes_supported"]),
        messages=_messages(said["messages_supported"]),
        authorization_server=loaded["authorization_server"],
        family=said["product_family_code"],
        version=said["version"],
        organisation=Text(120).deserialize(own.get(organisation)) if organisation else None,
    )


def _messages(listed: Any) -> dict[str, frozenset[str]]:
    messages: dict[str, frozenset[str]] = {}
    for entry in listed[:_MOST_MESSAGES] if isinstance(listed, list) else ():
        try:
            message = _MESSAGE.load(entry)
        except ValidationError:
            continue
        messages[message["type"]] = messages.get(message["type"], frozenset()) | set(message["placements"])
    return messages


def _registered(body: dict[str, Any]) -> RegisteredTool:
    try:
        loaded = _ANSWER.load(body)
    except ValidationError as error:
        raise PlatformUnavailable("broken-answer", "no client id") from error
    client_id = _id(loaded["client_id"])
    if client_id is None:
        raise PlatformUnavailable("broken-answer", "no usable client id")
    tool = loaded["tool"] if isinstance(loaded["tool"], dict) else {}
    # In the standard's place, or beside the client id (both are met).
    return RegisteredTool(client_id, _id(tool.get("deployment_id")) or _id(loaded["deployment_id"]))


def _id(value: Any) -> str | None:
    """An id as text; some platforms send numbers."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value) if abs(value) < 10**30 else ""
    return value if isinstance(value, str) and is_identifier(value) and value.strip() else None


def _raise_for(answer: HttpAnswer, refused: str, unavailable: str) -> NoReturn:
    if 400 <= answer.status < 500 and answer.status not in (408, 425, 429):
        raise PlatformRejected(refused, _words(answer), status=answer.status)
    raise PlatformUnavailable(unavailable, status=answer.status, retry_after=retry_after(answer))


def _words(answer: HttpAnswer) -> str:
    """What the platform says of its refusal, for the administrator who asked: one line, no markup."""
    try:
        body = json_object(answer)
    except PlatformError:
        text = "" if answer.text.lstrip().startswith("<") else answer.text
    else:
        names = ("error_description", "errorMessage", "errors", "message", "error")
        said = next((body[name] for name in names if body.get(name)), "")
        text = said if isinstance(said, str) else json.dumps(said, ensure_ascii=False)
    line = " ".join(text.split())
    return "".join(char for char in line if char.isprintable())[:_LONGEST_WORDS]
