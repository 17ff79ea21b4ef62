"""The search index as revision 0006 fills it: what lti_app/courses/search.py did then, which may go on changing."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from itertools import groupby

WITHOUT_BLANKS = (
    (0x2E80, 0x2FDF),
    (0x3005, 0x3007),
    (0x3040, 0x31FF),
    (0x3400, 0xA4CF),
    (0xAC00, 0xD7AF),
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)


def tokens(words: str) -> list[str]:
    """Each character of a script without blanks with the one after it; each word of other scripts."""
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", words).casefold())
    found: list[str] = []
    for kind, characters in groupby(plain, _kind):
        run = "".join(characters)
        if kind:
            found += [run] if kind == 1 else [run[at : at + 2] for at in range(len(run))]
    return found


def vector(fields: Iterable[Sequence[str]]) -> str:
    """The fields' tokens as a tsvector with the weights A, B and C."""
    at, entries = 0, []
    for weight, row in zip("ABC", fields, strict=True):
        entries += [f"'{token}':{at + number}{weight}" for number, token in enumerate(row, 1)]
        at += len(row) + 1
    return " ".join(entries)


def _kind(character: str) -> int:
    if unicodedata.category(character)[0] not in "LMN":
        return 0
    return 2 if any(first <= ord(character) <= last for first, last in WITHOUT_BLANKS) else 1
