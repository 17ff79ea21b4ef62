"""What the picker's forms send."""

from __future__ import annotations

from typing import Any

from flask_babel import gettext, lazy_gettext
from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate, validates

from lti_app.courses.dates import DatesForm
from lti_app.courses.models import Counts
from lti_app.courses.schemas import SLUG


class FilterQuery(Schema):
    """The search of the catalogue; what makes no sense is left out instead of shown as an error."""

    class Meta:
        unknown = EXCLUDE

    q = fields.String(load_default="")
    stage = fields.String(load_default="")
    kind = fields.String(load_default="")
    theme = fields.String(load_default="")
    audience = fields.String(load_default="")
    hours = fields.String(load_default="")


class ChoiceForm(Schema):
    """One course into the basket or out of it."""

    class Meta:
        unknown = EXCLUDE

    course = fields.String(required=True, validate=SLUG)
    action = fields.String(required=True, validate=validate.OneOf(["add", "remove"]))


class PickForm(DatesForm):
    """What one pick counts for, its points and its dates. Fields that the page does not show are absent."""

    counts = fields.Enum(
        Counts, by_value=True, error_messages={"unknown": lazy_gettext("请选择成绩册显示什么。")}
    )
    maximum = fields.Integer(error_messages={"invalid": lazy_gettext("满分要写成整数。")})

    def __init__(self, most_points: int) -> None:
        super().__init__()
        self.most_points = most_points

    @validates("maximum")
    def _within(self, value: int, **kwargs: Any) -> None:
        if not 1 <= value <= self.most_points:
            raise ValidationError(gettext("满分要在 1 到 %(most)s 之间。", most=self.most_points))
