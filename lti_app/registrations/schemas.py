"""What a platform's administrator brings to the registration address."""

from __future__ import annotations

from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate

from integrations.lti.registration import is_registration_token
from lti_app.security import is_origin

_CODE = validate.Regexp(r"[A-Za-z0-9_-]{0,64}\Z")


def _token(value: str) -> None:
    if value and not is_registration_token(value):
        raise ValidationError("not a bearer token")


def _origin_or_none(value: str) -> None:
    if value and not is_origin(value):
        raise ValidationError("not an origin")


class RegisterSchema(Schema):
    """The start of a registration (Dynamic Registration 1.0, 3.3); the invitation is ours."""

    class Meta:
        unknown = EXCLUDE

    openid_configuration = fields.String(load_default="", validate=validate.Length(0, 2048))
    registration_token = fields.String(load_default="", validate=_token)
    invitation = fields.String(load_default="", validate=_CODE)


class ConfirmSchema(RegisterSchema):
    """The administrator's choices."""

    openid_configuration = fields.String(required=True, validate=validate.Length(1, 2048))
    names = fields.String(required=True, validate=validate.OneOf(["names", "anonymous"]))
    placements = fields.List(
        fields.String(validate=validate.Length(1, 64)), load_default=list, validate=validate.Length(0, 20)
    )
    embedder = fields.String(load_default="", validate=[validate.Length(0, 300), _origin_or_none])


class ManualSchema(Schema):
    """How a configuration file for setting up by hand shall be."""

    class Meta:
        unknown = EXCLUDE

    privacy = fields.String(load_default="names", validate=validate.OneOf(["names", "anonymous"]))
