"""What a browser brings to the launch addresses."""

from __future__ import annotations

import unicodedata

from marshmallow import EXCLUDE, Schema, fields, post_load, validate

from lti_app.roster.models import PersonKind

_ID = validate.Length(1, 255)
_DIRECTIONS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def _readable(value: str) -> None:
    """Refuse what a name has no use for: control characters, lone surrogates, changes of direction."""
    if any(unicodedata.category(c) in ("Cc", "Cs") or c in _DIRECTIONS for c in value):
        raise validate.ValidationError("unreadable characters")


_FRAME = validate.And(validate.Length(0, 255), _readable)


class LoginSchema(Schema):
    """A third-party-initiated login (OIDC; LTI 1.3 Core, 5.1.1.1). Platforms add parameters of their own.

    `lti_storage_target` names the platform's frame that keeps data for tools (LTI OIDC Login with LTI Client
    Side postMessages 0.1). `gongyu_tab` is ours: the login is repeated in a tab of its own.
    """

    class Meta:
        unknown = EXCLUDE

    iss = fields.String(required=True, validate=_ID)
    login_hint = fields.String(required=True, validate=validate.Length(1, 4096))
    target_link_uri = fields.String(validate=validate.Length(0, 4096))
    lti_message_hint = fields.String(validate=validate.Length(0, 32_768))
    client_id = fields.String(validate=_ID)
    lti_storage_target = fields.String(validate=_FRAME)
    gongyu_tab = fields.String(validate=validate.Length(0, 1))

    @post_load
    def _drop_empty(self, data: dict[str, str], **_: object) -> dict[str, str]:
        return {name: value for name, value in data.items() if value}


class LaunchSchema(Schema):
    """The form post that answers a login: an id_token, or an OIDC error (OpenID Connect Core, 3.1.2.6).

    `lti_storage_target` comes again, and may have changed since the login.
    """

    class Meta:
        unknown = EXCLUDE

    state = fields.String(required=True, validate=validate.Length(1, 128))
    id_token = fields.String(load_default="")
    error = fields.String(load_default="", validate=validate.Length(0, 200))
    error_description = fields.String(load_default="")
    lti_storage_target = fields.String(load_default="", validate=_FRAME)


class StoredLaunchSchema(LaunchSchema):
    """The same from our own page, with the secret that the platform's storage kept."""

    storage_proof = fields.String(required=True, validate=validate.Length(1, 128))


class PageSchema(Schema):
    """A page of the launch, to be opened in a new tab."""

    class Meta:
        unknown = EXCLUDE

    page = fields.String(required=True, validate=[validate.Length(1, 2000), _readable])


class WhoSchema(Schema):
    """Who is here: a known member of the family, or a new one."""

    class Meta:
        unknown = EXCLUDE

    person = fields.Integer(load_default=None)
    kind = fields.Enum(PersonKind, by_value=True, load_default=None)
    label = fields.String(load_default="", validate=[validate.Length(0, 20), _readable])


class LanguageSchema(Schema):
    class Meta:
        unknown = EXCLUDE

    locale = fields.String(required=True, validate=validate.OneOf(["zh", "en"]))
    next = fields.String(load_default="", validate=validate.Length(0, 2000))
