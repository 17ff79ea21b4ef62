"""When a link's course is open, and until when it should be finished, on the clock of the school."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from flask_babel import gettext
from marshmallow import EXCLUDE, Schema, ValidationError, fields, validates_schema

from lti_app.courses.models import Dated

NAMES = ("opens_at", "closes_at", "due_at")
NO_DATES: Mapping[str, datetime | None] = dict.fromkeys(NAMES)
_YEARS = range(2000, 2101)


class Opening(StrEnum):
    """Whether learners may learn at a link now."""

    EARLY = "early"
    OPEN = "open"
    LATE = "late"


def opening(dated: Dated, now: datetime) -> Opening:
    """The state at `now`; the opening moment itself is open, the closing one is not."""
    if dated.opens_at is not None and now < dated.opens_at:
        return Opening.EARLY
    return Opening.LATE if dated.closes_at is not None and now >= dated.closes_at else Opening.OPEN


def dates_of(dated: Dated) -> dict[str, datetime | None]:
    return {name: getattr(dated, name) for name in NAMES}


class LocalMoment(fields.Field[datetime | None]):
    """What `<input type="datetime-local">` sends: a moment without a zone; None for an empty field."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> datetime | None:
        text = value.strip() if isinstance(value, str) else ""
        if not text:
            return None
        try:
            moment = datetime.fromisoformat(text)
        except ValueError as error:
            raise ValidationError(gettext("请写成“年-月-日 时:分”。")) from error
        if moment.tzinfo is not None or moment.year not in _YEARS:
            raise ValidationError(gettext("请写成“年-月-日 时:分”。"))
        return moment.replace(second=0, microsecond=0)


class DatesForm(Schema):
    """The three dates of a form, in order."""

    class Meta:
        unknown = EXCLUDE

    opens_at = LocalMoment(load_default=None)
    closes_at = LocalMoment(load_default=None)
    due_at = LocalMoment(load_default=None)

    @validates_schema(skip_on_field_errors=False)
    def _in_order(self, data: dict[str, datetime | None], **kwargs: Any) -> None:
        opens, closes, due = (data.get(name) for name in NAMES)
        if opens and closes and closes <= opens:
            raise ValidationError({"closes_at": [gettext("结束时间要晚于开放时间。")]})
        if due and ((opens and due <= opens) or (closes and due > closes)):
            raise ValidationError({"due_at": [gettext("截止时间要在开放的这段时间里。")]})


def first_words(error: ValidationError) -> dict[str, str]:
    """One sentence for each field that is wrong."""
    return {
        str(name): str(texts[0] if isinstance(texts, list) else texts)
        for name, texts in error.normalized_messages().items()
    }


def in_utc(values: Mapping[str, Any], time_zone: str) -> dict[str, datetime | None]:
    """The dates of a loaded form (moments on the school's clock) in UTC."""
    zone = ZoneInfo(time_zone)
    local = {name: values[name] for name in NAMES}
    return {name: moment and moment.replace(tzinfo=zone).astimezone(UTC) for name, moment in local.items()}


def for_fields(dated: Dated | None, time_zone: str) -> dict[str, str]:
    """The dates as the inputs of a form show them."""
    zone = ZoneInfo(time_zone)
    moments = {name: getattr(dated, name, None) for name in NAMES}
    return {
        name: moment.astimezone(zone).strftime("%Y-%m-%dT%H:%M") if moment else ""
        for name, moment in moments.items()
    }
