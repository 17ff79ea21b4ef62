"""Codes that people copy from paper or from another screen: 54 random bits and a sign that finds slips.

Eleven random signs and a check sign, in groups of four. There are 31 signs, none of which looks like another;
what is still misread (O, I, L, Z, U) is taken for its likeness. 31 is prime and every place has a weight of
its own, so one wrong sign or two exchanged ones always show, before anything is looked up.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import unicodedata
from enum import StrEnum

from flask import current_app

SIGNS = "0123456789ABCDEFGHJKMNPQRSTVWXY"
RANDOM_SIGNS = 11
LENGTH = RANDOM_SIGNS + 1
_LIKENESS = str.maketrans({"O": "0", "I": "1", "L": "1", "Z": "2", "U": "V"})
_SEPARATORS = frozenset("-‐‑‒–—―−_.·•")


class Purpose(StrEnum):
    """What a code is for; one for one thing is nothing for the other."""

    CLAIM = "claim"
    LINK = "link"


def new_code() -> str:
    """A fresh code as it is printed: XXXX-XXXX-XXXX."""
    return printed("".join(secrets.choice(SIGNS) for _ in range(RANDOM_SIGNS)))


def printed(signs: str) -> str:
    """Eleven signs with their check sign, in groups of four."""
    code = signs + _check_sign(signs)
    return "-".join(code[start : start + 4] for start in range(0, LENGTH, 4))


def read_code(typed: str) -> str | None:
    """The signs of a code as somebody typed it: small letters, spaces, hyphens and full-width signs do not
    matter. None when it cannot be one: a wrong length, a sign that does not exist, or miscopied."""
    text = unicodedata.normalize("NFKC", typed).upper()
    signs = "".join(c for c in text if not c.isspace() and c not in _SEPARATORS).translate(_LIKENESS)
    if len(signs) != LENGTH or any(sign not in SIGNS for sign in signs):
        return None
    return signs if _check_sign(signs[:-1]) == signs[-1] else None


def fingerprint(signs: str, purpose: Purpose) -> str:
    """What is stored of a code: a keyed hash, so that the table alone does not let anybody try codes."""
    secret = current_app.config["SETTINGS"].secret_key.encode()
    key = hmac.digest(secret, f"gongyu families {purpose}".encode(), "sha256")
    return hmac.new(key, signs.replace("-", "").encode(), hashlib.sha256).hexdigest()


def _check_sign(signs: str) -> str:
    """The last place has the weight 1, so its sign makes the weighted sum a multiple of 31."""
    total = sum((LENGTH - place) * SIGNS.index(sign) for place, sign in enumerate(signs))
    return SIGNS[-total % len(SIGNS)]
