"""What the forms of the class page send."""

from __future__ import annotations

from typing import Any

from marshmallow import EXCLUDE, Schema, fields, pre_load

from lti_app.courses.models import Counts
from lti_app.roster.models import Audience


class AudienceSchema(Schema):
    """`audience`: who the learners are; "" (not said) becomes None."""

    class Meta:
        unknown = EXCLUDE

    audience = fields.Enum(Audience, by_value=True, allow_none=True, required=True)

    @pre_load
    def not_said(self, data: Any, **_: Any) -> dict[str, Any]:
        return {name: value or None for name, value in data.items()}


class CountsSchema(Schema):
    """`counts`: what the column of the link shows."""

    class Meta:
        unknown = EXCLUDE

    counts = fields.Enum(Counts, by_value=True, required=True)
