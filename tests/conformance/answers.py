"""What a platform does with our answer to a deep linking request: verifies it by our published keys, and reads
it as Deep Linking 2.0 is written."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import unescape
from typing import Any
from urllib.parse import urlsplit

import jwt
from flask import Flask
from marshmallow import Schema, ValidationError, fields, validate

from tests.browsing import BASE, Page
from tests.fake_platform import FakePlatform

_TEXT = fields.String(validate=validate.Length(1, 255))


def _moment(value: str) -> None:
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", value):
        raise ValidationError("no ISO 8601 moment with its offset")


def _flat(value: Any) -> None:
    if not value or not all(isinstance(one, str) for pair in value.items() for one in pair):
        raise ValidationError("custom parameters are texts by name")


def _number(value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        raise ValidationError("no number above zero")


class _Period(Schema):
    startDateTime = fields.String(validate=_moment)
    endDateTime = fields.String(validate=_moment)


class _LineItem(Schema):
    scoreMaximum = fields.Raw(required=True, validate=_number)
    label = _TEXT
    resourceId = _TEXT
    tag = _TEXT
    gradesReleased = fields.Raw(validate=validate.OneOf([True, False]))


class _Window(Schema):
    targetName = _TEXT


class ResourceLink(Schema):
    """Deep Linking 2.0, 3.2 with its common members: names that are not there are refused."""

    type = fields.String(required=True, validate=validate.Equal("ltiResourceLink"))
    url = fields.Url(validate=validate.Equal(f"{BASE}/lti/launch"))
    title = _TEXT
    text = fields.String(validate=validate.Length(1))
    custom = fields.Raw(validate=_flat)
    lineItem = fields.Nested(_LineItem)
    available = fields.Nested(_Period)
    submission = fields.Nested(_Period)
    window = fields.Nested(_Window)


@dataclass
class Response:
    """The form of the page that answers, and the message in it, verified."""

    action: str
    header: dict[str, Any]
    claims: dict[str, Any]


def response(app: Flask, platform: FakePlatform, page: Page) -> Response:
    """What reaches the platform when the page's form is sent."""
    form = re.search(r'<form method="post" action="([^"]+)" data-post-now>(.*?)</form>', page.html, re.DOTALL)
    assert form, page.text
    sent = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form[2]))
    assert set(sent) == {"JWT"}, "the response is one parameter (Deep Linking 2.0, 4.5)"
    return Response(unescape(form[1]), *verified(app, platform, sent["JWT"]))


def verified(app: Flask, platform: FakePlatform, token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of a message that we signed for this platform. Reads the key set as platforms do."""
    header = jwt.get_unverified_header(token)
    keys = {key["kid"]: key for key in app.test_client().get("/lti/jwks.json", base_url=BASE).json["keys"]}
    claims = jwt.decode(
        token,
        jwt.PyJWK(keys[header["kid"]]).key,
        ["RS256"],
        audience=platform.issuer,
        issuer=platform.client_id,
        options={"require": ["iss", "aud", "iat", "exp", "nonce"]},
    )
    return header, claims


def is_url(name: str) -> bool:
    parts = urlsplit(name)
    return parts.scheme == "https" and bool(parts.netloc)
