"""What the forms of the families' pages send."""

from __future__ import annotations

from marshmallow import EXCLUDE, Schema, fields, validate

from lti_app.families.queries import Shown

LARGEST = 2**63 - 1
_row = validate.Range(1, LARGEST)


def _printable(value: str) -> None:
    """What no name holds, PostgreSQL would not even look for."""
    if not value.isprintable():
        raise validate.ValidationError("unprintable characters")


class CodeSchema(Schema):
    """A code as somebody typed it; what it means is decided by `read_code`. `sure`: after the question."""

    class Meta:
        unknown = EXCLUDE

    code = fields.String(load_default="", validate=validate.Length(0, 100))
    sure = fields.Boolean(load_default=False)


class ChildSchema(Schema):
    """A child of the parent, or a pupil of the class."""

    class Meta:
        unknown = EXCLUDE

    child = fields.Integer(required=True, validate=_row)


class SlipsSchema(Schema):
    """For whom to make codes; None: for everybody who has none."""

    class Meta:
        unknown = EXCLUDE

    child = fields.Integer(load_default=None, validate=_row)


class ListSchema(Schema):
    """Which part of the list of pupils to show."""

    class Meta:
        unknown = EXCLUDE

    q = fields.String(load_default="", validate=[validate.Length(0, 60), _printable])
    show = fields.Enum(Shown, by_value=True, load_default=Shown.ALL)
    page = fields.Integer(load_default=1, validate=validate.Range(1, 100_000))
