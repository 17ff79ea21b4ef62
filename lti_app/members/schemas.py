"""What the pages about a class's members are sent."""

from __future__ import annotations

from typing import Any

from marshmallow import EXCLUDE, Schema, fields, validate

from integrations.lti.claim_fields import Text
from lti_app.members.queries import Shown


class _Filter(fields.Field):
    """A filter of the list; everything for what is none."""

    def __init__(self) -> None:
        super().__init__(load_default=Shown.ALL)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Shown:
        return Shown(value) if value in set(Shown) else Shown.ALL


class AskedSchema(Schema):
    """The query of the list; what cannot be used is left out."""

    class Meta:
        unknown = EXCLUDE

    show = _Filter()
    q = Text(60)


class DecisionSchema(Schema):
    """`run`: the reading that was shown; `apply`: "1" lets those leave who are not on it, "0" keeps all."""

    class Meta:
        unknown = EXCLUDE

    run = fields.Integer(required=True, validate=validate.Range(0, 2**31))
    apply = fields.String(required=True, validate=validate.OneOf(["0", "1"]))
