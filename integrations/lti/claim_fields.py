"""marshmallow fields for claims: what identifies is strict, what decorates is forgiving.

Text from outside may hold NUL (which PostgreSQL refuses) and lone surrogates (which no encoder takes):
identifiers with such characters are refused, display texts lose them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from marshmallow import ValidationError, fields

ID_LENGTH = 255
URL_LENGTH = 2048
_UNSTORABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_VARIABLE = re.compile(r"\$[A-Za-z][\w.]*", re.ASCII)
_CUSTOM_VALUES = 200
_CUSTOM_LENGTH = 4000


class Identifier(fields.Field):
    """A string of 1 to 255 storable characters, kept as it is."""

    default_error_messages = {"required": "missing-claim", "null": "missing-claim"}

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        if not isinstance(value, str) or not is_identifier(value):
            raise ValidationError("bad-claim")
        return value


class Text(fields.Field):
    """A display text of at most `length` characters, or None for anything that is not one."""

    def __init__(self, length: int = 255) -> None:
        super().__init__(load_default=None, allow_none=True)
        self.length = length

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str | None:
        if not isinstance(value, str):
            return None
        text = _UNSTORABLE.sub("", value[: 2 * self.length]).strip()[: self.length]
        return None if _VARIABLE.fullmatch(text) else text or None


class WebAddress(fields.Field):
    """An absolute http(s) URL; what is none is None, or an error when the field is required."""

    default_error_messages = {"required": "missing-claim", "null": "missing-claim"}

    def __init__(self, *, required: bool = False) -> None:
        super().__init__(required=required, allow_none=not required)
        if not required:
            self.load_default = None

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str | None:
        if isinstance(value, str) and _is_web_address(value):
            return value
        if self.required:
            raise ValidationError("bad-claim")
        return None


class Moment(fields.Field):
    """A time with a zone (ISO 8601), or None for anything else."""

    def __init__(self) -> None:
        super().__init__(load_default=None, allow_none=True)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> datetime | None:
        try:
            moment = datetime.fromisoformat(value)
            return moment.astimezone(UTC) if moment.tzinfo is not None else None
        except (TypeError, ValueError, OverflowError):
            return None


class Strings(fields.Field):
    """The usable strings of a list; an empty list for what is no list."""

    def __init__(self, most: int = 100) -> None:
        super().__init__(load_default=list, allow_none=True)
        self.most = most

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> list[str]:
        listed = value[: self.most] if isinstance(value, list) else []
        return [one for one in listed if isinstance(one, str) and is_identifier(one)]


class Flag(fields.Field):
    """True, False, or None for anything else; some platforms write the words."""

    def __init__(self) -> None:
        super().__init__(load_default=None, allow_none=True)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> bool | None:
        if isinstance(value, str):
            return {"true": True, "false": False}.get(value.strip().lower())
        return value if isinstance(value, bool) else None


class Verbatim(fields.Field):
    """Text that must go back as it came: refused, not cut, when it is too long or cannot be stored."""

    def __init__(self, longest: int) -> None:
        super().__init__(load_default=None, allow_none=True)
        self.longest = longest

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        if not isinstance(value, str) or len(value) > self.longest or _UNSTORABLE.search(value):
            raise ValidationError("bad-claim")
        return value


class RoleList(fields.Field):
    """The roles claim: a list of strings, or one string as some platforms send it."""

    default_error_messages = {"required": "missing-claim", "null": "missing-claim"}

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> list[str]:
        listed = [value] if isinstance(value, str) else value
        if not isinstance(listed, list) or len(listed) > 100:
            raise ValidationError("bad-claim")
        if not all(isinstance(role, str) and is_identifier(role) for role in listed):
            raise ValidationError("bad-claim")
        return listed


class CustomParameters(fields.Field):
    """Custom parameters as text by key; numbers become text, nulls and nested values go.

    So does what begins with "$": a variable that the platform does not know comes back as its own name.
    """

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> dict[str, str]:
        items = list(value.items())[:_CUSTOM_VALUES] if isinstance(value, Mapping) else []
        texts = {key: _custom_text(one) for key, one in items if is_identifier(key)}
        return {key: text for key, text in texts.items() if text is not None and not text.startswith("$")}


def is_identifier(value: str) -> bool:
    return 0 < len(value) <= ID_LENGTH and not _UNSTORABLE.search(value)


def _custom_text(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        value = str(value) if abs(value) < 1e18 else ""
    if not isinstance(value, str):
        return None
    return _UNSTORABLE.sub("", value[:_CUSTOM_LENGTH])


def _is_web_address(value: str) -> bool:
    if len(value) > URL_LENGTH or not value.isprintable() or " " in value or "\\" in value:
        return False
    try:
        parts = urlsplit(value)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
