"""The id_token of a launch: who signed it, for whom, and when (LTI Security Framework 1.0, 5.1.3).

Everything that decides is checked here and fails as a BadMessage with its own code; what the claims say is
the business of `claims`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import jwt
from jwt.types import Options
from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate

from integrations.errors import BadMessage
from integrations.http import AddressPolicy
from integrations.lti.jwks import JwksCache

ALGORITHM = "RS256"
_LIMIT = 65_536
_LEEWAY = 60
_MAX_AGE = 600
_MAX_LIFETIME = 86_400
# Headers by which a token would bring its own key or its own rules.
_FORBIDDEN_HEADERS = {
    "jwk": "embedded-key",
    "jku": "embedded-key",
    "x5u": "embedded-key",
    "x5c": "embedded-key",
}
# The signature alone: the claims are checked below, against the clock that the caller gives.
_SIGNATURE_ONLY: Options = {
    "verify_signature": True,
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_aud": False,
    "verify_iss": False,
    "verify_sub": False,
    "verify_jti": False,
}


class _Audience(fields.Field):
    """One client id or a list of them."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> list[str]:
        listed = [value] if isinstance(value, str) else value
        if not isinstance(listed, list) or not listed or not all(isinstance(one, str) for one in listed):
            raise ValidationError("bad-claim")
        return listed


class _SecuritySchema(Schema):
    """The claims that the security framework asks for; times are seconds since the epoch."""

    class Meta:
        unknown = EXCLUDE

    iss = fields.String(required=True)
    aud = _Audience(required=True)
    azp = fields.String(load_default=None, allow_none=True)
    nonce = fields.String(required=True, validate=validate.Length(1, 512))
    exp = fields.Float(required=True, allow_nan=False)
    iat = fields.Float(required=True, allow_nan=False)
    nbf = fields.Float(load_default=None, allow_none=True, allow_nan=False)


_SECURITY = _SecuritySchema()


def verify_id_token(
    token: str,
    *,
    jwks: JwksCache,
    issuer: str,
    client_id: str,
    jwks_url: str,
    policy: AddressPolicy,
    now: datetime,
) -> dict[str, Any]:
    """The claims of a genuine, current id_token of `issuer` for `client_id`.

    Raises BadMessage: token-too-large, malformed-token, bad-algorithm, embedded-key, critical-header,
    missing-kid, unknown-key, bad-signature, missing-claim, bad-claim, wrong-issuer, wrong-audience, expired,
    not-yet-valid, lifetime-too-long; PlatformError when the platform's keys cannot be had. Clocks may differ
    by 60 s; a token lives at most a day and is used within ten minutes. The nonce is the caller's to spend.
    """
    if len(token) > _LIMIT:
        raise BadMessage("token-too-large")
    kid = _key_id(token)
    claims = _signed_claims(token, jwks.keys(jwks_url, kid, policy))
    _check(claims, issuer, client_id, now.timestamp())
    return claims


def _key_id(token: str) -> str:
    """The kid of a token whose header promises RS256 and nothing strange."""
    header = _header(token)
    if header.get("alg") != ALGORITHM:
        raise BadMessage("bad-algorithm")
    for name, code in _FORBIDDEN_HEADERS.items():
        if name in header:
            raise BadMessage(code, name)
    if "crit" in header:
        raise BadMessage("critical-header")
    kid = header.get("kid")
    if not isinstance(kid, str) or not 0 < len(kid) <= 255:
        raise BadMessage("missing-kid")
    return kid


def _header(token: str) -> dict[str, Any]:
    encoded = token.partition(".")[0]
    try:
        header = json.loads(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    except (ValueError, RecursionError) as error:
        raise BadMessage("malformed-token") from error
    if not isinstance(header, dict):
        raise BadMessage("malformed-token")
    return header


def _signed_claims(token: str, keys: tuple[Any, ...]) -> dict[str, Any]:
    for key in keys:
        try:
            return jwt.decode(token, key, algorithms=[ALGORITHM], options=_SIGNATURE_ONLY)
        except jwt.InvalidSignatureError:
            continue
        except (jwt.InvalidTokenError, ValueError, RecursionError) as error:
            raise BadMessage("malformed-token") from error
    raise BadMessage("bad-signature")


def _check(claims: Mapping[str, Any], issuer: str, client_id: str, now: float) -> None:
    try:
        checked = _SECURITY.load(claims)
    except ValidationError as error:
        missing = [name for name in error.messages_dict if name not in claims]
        raise BadMessage(
            "missing-claim" if missing else "bad-claim", ", ".join(error.messages_dict)
        ) from error
    if checked["iss"] != issuer:
        raise BadMessage("wrong-issuer")
    audience, authorised = checked["aud"], checked["azp"]
    if authorised is None and len(audience) == 1:
        authorised = client_id
    if client_id not in audience or authorised != client_id:
        raise BadMessage("wrong-audience")
    _check_times(checked["exp"], checked["iat"], checked["nbf"], now)


def _check_times(expires: float, issued: float, not_before: float | None, now: float) -> None:
    if max(issued, not_before or issued) > now + _LEEWAY:
        raise BadMessage("not-yet-valid")
    if now >= expires + _LEEWAY or now >= issued + _MAX_AGE + _LEEWAY:
        raise BadMessage("expired")
    if expires - issued > _MAX_LIFETIME:
        raise BadMessage("lifetime-too-long")
