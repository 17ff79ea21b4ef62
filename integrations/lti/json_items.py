"""A large JSON list from the network, one member at a time: what is in memory stays small."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from decimal import Decimal, DecimalException
from typing import Any, NoReturn

from integrations.errors import PlatformUnavailable
from integrations.http import HttpStream

LONGEST = 256 * 1024
"""Characters of one member."""
_SPACE = re.compile(r"[ \t\r\n]*")


def json_items(body: HttpStream) -> Iterator[dict[str, Any]]:
    """The members of the JSON list of objects that `body` is; numbers with a fraction are Decimal.

    Raises PlatformUnavailable: `broken-answer` for anything that is not one whole list of objects (so what
    came before is not all there is), and what reading raises.
    """
    text = _Text(body)
    try:
        text.expect("[")
        if text.peek() == "]":
            text.expect("]")
        else:
            yield text.object()
            while text.expect(",]") == ",":
                yield text.object()
        text.end()
    except (ValueError, RecursionError, DecimalException) as error:
        raise PlatformUnavailable(
            "broken-answer", "not a JSON list", status=body.status, exchange=body.exchange
        ) from error


class _Text:
    """The text that was not taken yet; more of it is read when it is needed. ValueError: it is no JSON."""

    def __init__(self, body: HttpStream) -> None:
        self._body = body
        self._decode = codecs.getincrementaldecoder("utf-8-sig")().decode
        self._text, self._at = "", 0
        self._decoder = json.JSONDecoder(parse_float=Decimal, parse_constant=_refuse)

    def peek(self) -> str:
        """The next character that is no space; "" at the end."""
        while True:
            space = _SPACE.match(self._text, self._at)
            self._at = space.end() if space else self._at
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def expect(self, characters: str) -> str:
        found = self.peek()
        if not found or found not in characters:
            raise ValueError(f"{found!r} instead of one of {characters}")
        self._at += 1
        return found

    def object(self) -> dict[str, Any]:
        # Only of an object is it certain that its end is not cut off.
        if self.peek() != "{":
            raise ValueError("not an object")
        while True:
            try:
                value, self._at = self._decoder.raw_decode(self._text, self._at)
                return dict(value)
            except json.JSONDecodeError:
                if len(self._text) - self._at > LONGEST or not self._more():
                    raise

    def end(self) -> None:
        if self.peek():
            raise ValueError("more than a list")

    def _more(self) -> bool:
        chunk = self._body.read()
        self._text, self._at = self._text[self._at :] + self._decode(chunk, not chunk), 0
        return bool(chunk)


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
