"""The cookies of a launch: one that proves whose login it is, one that says that cookies work here at all."""

from __future__ import annotations

import hmac
from typing import Any

from flask import request

from lti_app.launches.current import hashed

STATE_COOKIE = "gongyu-login-"
PROOF_COOKIE = "gongyu-cookies"
PROOF_SECONDS = 24 * 3600


def state_cookie(state: str) -> str:
    """The name of a login's own cookie: two frames that start at once must not overwrite each other's."""
    return STATE_COOKIE + hashed(state)[:16]


def brings_cookie(state: str) -> bool:
    """Whether this request shows a cookie of that login, right or wrong."""
    return state_cookie(state) in request.cookies


def is_secret(shown: str, browser_hash: str) -> bool:
    """Whether this is the secret of the login with this hash; takes as long for any other."""
    return hmac.compare_digest(hashed(shown), browser_hash)


def shows_secret(state: str, browser_hash: str) -> bool:
    """Whether this request's cookie proves that the login began in this browser."""
    return is_secret(request.cookies.get(state_cookie(state), ""), browser_hash)


def set_cookie(answer: Any, name: str, value: str, path: str, seconds: int) -> None:
    """`Partitioned` (CHIPS) makes the cookie work inside another site's frame; it demands `Secure`, which
    browsers also accept from http on the machine itself."""
    answer.set_cookie(
        name, value, max_age=seconds, path=path, secure=True, httponly=True, samesite="None", partitioned=True
    )


def note_cookies_work(answer: Any) -> None:
    """Let the next login from here skip the test whether cookies are kept."""
    set_cookie(answer, PROOF_COOKIE, "1", "/lti", PROOF_SECONDS)


def forget_login(answer: Any, state: str) -> None:
    answer.delete_cookie(
        state_cookie(state), path="/lti", secure=True, httponly=True, samesite="None", partitioned=True
    )
