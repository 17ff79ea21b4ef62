"""Tools as the school's administrator has them, and what their registration and their picker may say."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

CLAIM = "https://purl.imsglobal.org/spec/lti/claim/"
CONFIGURATION = "https://purl.imsglobal.org/spec/lti-tool-configuration"
PERSONAL_CLAIMS = ("name", "given_name", "family_name", "email")


class Unusable(ValueError):
    """What a tool sent breaks the standard; says what."""


@dataclass(frozen=True)
class ToolEntry:
    """A tool: what it registered, and whether it is switched on. `claims` are those it asked for; names and
    addresses are sent only to a tool that asked."""

    client_id: str
    name: str
    login: str
    launch: str
    redirects: tuple[str, ...]
    key_set: str
    claims: frozenset[str]
    scopes: frozenset[str]
    custom: Mapping[str, str]
    active: bool


def registered(client_id: str, sent: Any) -> ToolEntry:
    """The tool that a registration request describes (LTI Dynamic Registration 1.0, 3.5). Raises Unusable."""
    if not isinstance(sent, dict):
        raise Unusable("the registration must be a JSON object")
    for name, wanted in (
        ("application_type", "web"),
        ("response_types", ["id_token"]),
        ("token_endpoint_auth_method", "private_key_jwt"),
    ):
        if sent.get(name) != wanted:
            raise Unusable(f"{name} must be {wanted}")
    if not {"implicit", "client_credentials"} <= set(sent.get("grant_types") or ()):
        raise Unusable("grant_types must have implicit and client_credentials")
    tool = sent.get(CONFIGURATION)
    if not isinstance(tool, dict):
        raise Unusable(f"{CONFIGURATION} is missing")
    launch, redirects = tool.get("target_link_uri"), sent.get("redirect_uris") or []
    addresses = [sent.get("initiate_login_uri"), sent.get("jwks_uri"), launch, *redirects]
    if not redirects or not all(_is_address(one) for one in addresses):
        raise Unusable(
            "initiate_login_uri, jwks_uri, target_link_uri and redirect_uris must be web addresses"
        )
    if tool.get("domain") != urlsplit(launch).netloc:
        raise Unusable("domain must be the host of target_link_uri")
    return ToolEntry(
        client_id=client_id,
        name=_text(sent.get("client_name"), "client_name"),
        login=sent["initiate_login_uri"],
        launch=launch,
        redirects=tuple(redirects),
        key_set=sent["jwks_uri"],
        claims=frozenset(tool.get("claims") or ()),
        scopes=frozenset(_text(sent.get("scope"), "scope").split()),
        custom=_flat(tool.get("custom_parameters") or {}),
        active=False,
    )


@dataclass(frozen=True)
class PickedItem:
    """An item of a deep linking response, ready to become a link."""

    title: str
    about: str
    custom: Mapping[str, str]
    maximum: float | None
    resource_id: str | None
    tag: str | None


def picked(items: list[Any], launch: str) -> list[PickedItem]:
    """The resource links of a deep linking response (Deep Linking 2.0, 3.2.4). Raises Unusable for the first
    one that cannot be used: then none is."""
    return [_picked(item, launch) for item in items]


def _picked(item: Any, launch: str) -> PickedItem:
    if not isinstance(item, dict) or item.get("url", launch) != launch:
        raise Unusable("an item must be an object whose url is the tool's launch address")
    column = item.get("lineItem")
    maximum = None
    if column is not None:
        maximum = column.get("scoreMaximum") if isinstance(column, dict) else None
        if not isinstance(maximum, int | float) or not math.isfinite(maximum) or maximum <= 0:
            raise Unusable("lineItem.scoreMaximum must be above zero")
    return PickedItem(
        title=_text(item.get("title"), "title")[:255],
        about=str(item.get("text") or ""),
        custom=_flat(item.get("custom") or {}),
        maximum=maximum,
        resource_id=column.get("resourceId") if column else None,
        tag=column.get("tag") if column else None,
    )


def _flat(custom: Any) -> dict[str, str]:
    if not isinstance(custom, dict) or not all(isinstance(value, str) for value in custom.values()):
        raise Unusable("custom must have text values")
    return custom


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise Unusable(f"{name} is missing")
    return value


def _is_address(value: Any) -> bool:
    return (
        isinstance(value, str)
        and urlsplit(value).scheme in ("http", "https")
        and bool(urlsplit(value).netloc)
    )
