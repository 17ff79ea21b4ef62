"""What the forms of the account pages send."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from flask_babel import lazy_gettext
from marshmallow import (
    EXCLUDE,
    Schema,
    ValidationError,
    fields,
    post_load,
    pre_load,
    validate,
    validates_schema,
)

from integrations.content.spreadsheet import looks_like_formula
from integrations.terms import AccountFormat
from lti_app.security import origin_of

PREFIX = re.compile(r"[a-z][a-z0-9]{0,9}")
DOMAIN = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+")


def _cell(value: str) -> None:
    if looks_like_formula(value) or not value.isprintable():
        raise ValidationError(str(lazy_gettext("不能以 = + - @ 开头，也不能有换行。")))


def _text(longest: int, *checks: Any, **more: Any) -> fields.String:
    too_long = str(longest)
    length = validate.Length(0, longest, error=lazy_gettext("最多 %(most)s 个字。", most=too_long))
    return fields.String(validate=[length, _cell, *checks], **{"load_default": "", **more})


def _matching(pattern: re.Pattern[str], message: Any) -> Any:
    def check(value: str) -> None:
        if pattern.fullmatch(value) is None:
            raise ValidationError(str(message))

    return check


class FilesSchema(Schema):
    """What the account files shall hold. `only_new`: without the accounts of earlier lists."""

    class Meta:
        unknown = EXCLUDE

    form = fields.Enum(AccountFormat, by_value=True, required=True)
    course = _text(100)
    role = _text(40)
    language = fields.String(validate=validate.OneOf(["", "zh_cn", "zh_tw", "en"]), load_default="")
    cohort = _text(100)
    prefix = _text(
        10, _matching(PREFIX, lazy_gettext("请用 1 到 10 个小写字母或数字，以字母开头。")), load_default="p"
    )
    placeholder_domain = _text(
        80,
        _matching(DOMAIN, lazy_gettext("请写成域名的样子，例如 school.invalid。")),
        load_default="noemail.invalid",
    )
    with_groups = fields.Boolean(load_default=False)
    with_observers = fields.Boolean(load_default=False)
    with_names = fields.Boolean(load_default=False)
    only_new = fields.Boolean(load_default=False)
    by_mail = fields.Boolean(load_default=False)
    site = _text(200, load_default="")

    @pre_load
    def stripped(self, data: Any, **_: Any) -> dict[str, Any]:
        return {name: value.strip() for name, value in data.items()}

    @validates_schema
    def role_for_course(self, data: dict[str, Any], **_: Any) -> None:
        if data.get("course") and not data.get("role"):
            raise ValidationError(str(lazy_gettext("写了课程，就请也写角色。")), "role")

    @validates_schema
    def site_is_an_address(self, data: dict[str, Any], **_: Any) -> None:
        site = data.get("site", "")
        if site and not (origin_of(site) and urlsplit(site).scheme in ("http", "https")):
            raise ValidationError(str(lazy_gettext("请写完整的网址，以 https:// 开头。")), "site")

    @post_load
    def plain(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        """As it is kept with the list."""
        return {**data, "form": str(data["form"])}
