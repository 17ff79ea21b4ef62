"""What the sync page is sent."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from flask_babel import lazy_gettext
from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate

from integrations.lti.claim_fields import Text
from lti_app.gradebook.models import Keeps, Sends
from lti_app.gradebook.pages.listing import Group

LARGEST_ID = 2**63 - 1
MOST_CREDITS = 10_000
_NUMBER = re.compile(r"[0-9]{1,19}", re.ASCII)
_AMOUNT = re.compile(r"[0-9]{1,5}(\.[0-9]{1,2})?", re.ASCII)


class _Shown(fields.Field):
    """A filter; everything for what is none."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Group:
        return Group(value) if value in set(Group) else Group.ALL


class _Id(fields.Field):
    """The number of a row, or None for what cannot be one."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int | None:
        number = int(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else 0
        return number if 0 < number <= LARGEST_ID else None


class AskedSchema(Schema):
    """The query of the list; what cannot be used is left out."""

    class Meta:
        unknown = EXCLUDE

    show = _Shown(load_default=Group.ALL)
    column = _Id(load_default=None)
    q = Text(60)
    page = _Id(load_default=None)


class PolicySchema(Schema):
    """The wishes for a column: `keeps`, `sends`, and `paused` ("1" while nothing is to be sent)."""

    class Meta:
        unknown = EXCLUDE

    keeps = fields.Enum(Keeps, by_value=True, required=True)
    sends = fields.Enum(Sends, by_value=True, required=True)
    paused = fields.String(load_default="0", validate=validate.OneOf(["0", "1"]))


class DoSchema(Schema):
    """What is to be done to a column, or to all of them."""

    class Meta:
        unknown = EXCLUDE

    act = fields.String(required=True, validate=validate.OneOf(["send", "read", "release"]))


class _Credits(fields.Field):
    """Credits as people write them, above zero with at most two decimals, as hundredths."""

    default_error_messages = {
        "required": lazy_gettext("请写满分需要多少学分。"),
        "invalid": lazy_gettext("请写大于 0、不超过 10000 的数，最多两位小数，例如 10 或 12.5。"),
    }

    def make_error(self, key: str, **kwargs: Any) -> ValidationError:
        # In a list: a lazy text by itself would be taken for one, of its letters.
        return ValidationError([self.error_messages[key]])

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        text = value.strip() if isinstance(value, str) else ""
        if not text:
            raise self.make_error("required")
        if not _AMOUNT.fullmatch(text):
            raise self.make_error("invalid")
        hundredths = int(Decimal(text) * 100)
        if not 0 < hundredths <= MOST_CREDITS * 100:
            raise self.make_error("invalid")
        return hundredths


class CreditsSchema(Schema):
    """`target`: how many credits of the term are the whole grade."""

    class Meta:
        unknown = EXCLUDE

    target = _Credits(required=True)
