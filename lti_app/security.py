"""What holds for every answer: headers, who may frame us, and where an unsafe request may come from."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, Response, current_app, g, request
from flask_babel import lazy_gettext
from werkzeug.exceptions import RequestEntityTooLarge

from integrations.platforms.base import origin
from lti_app.errors import AppError

CSP = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "media-src": "'self'",
    "font-src": "'self'",
    "connect-src": "'self'",
    "base-uri": "'none'",
}
UNSAFE = frozenset({"POST", "PUT", "PATCH", "DELETE"})


def cross_site(view: Any) -> Any:
    """Mark a view that an LMS posts to from its own site; it must prove the request by other means."""
    view.__dict__["cross_site"] = True
    return view


def takes(most: int) -> Callable[[Any], Any]:
    """Mark a view that is sent up to `most` bytes, more than others; it says itself what is too large."""

    def mark(view: Any) -> Any:
        view.__dict__["most_sent"] = most
        return view

    return mark


def allow_framing(origins: Iterable[str]) -> None:
    """Let the answer to this request be framed by these origins (besides ourselves)."""
    g.frame_origins = sorted({origin for origin in origins if is_origin(origin)})


def allow_posting_to(target: str) -> None:
    """Let a form of this request's page go to the origin `target` (besides ourselves)."""
    g.form_targets = [target]


def origin_of(url: str) -> str:
    """scheme://host[:port] of a URL as a browser writes it (punycode, lower case); "" when it has none."""
    try:
        return origin(url)
    except (ValueError, UnicodeError):
        return ""


def is_origin(value: str) -> bool:
    """Whether `value` may stand in a Content-Security-Policy as an origin: nothing but scheme and host."""
    try:
        parts = urlsplit(value)
        return (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and "@" not in parts.netloc
            and value == f"{parts.scheme}://{parts.netloc}"
            and value.isascii()
            and all(c.isalnum() or c in ".-:[]_" for c in parts.netloc)
        )
    except ValueError:
        return False


def init_security(app: Flask) -> None:
    """Install the request check and the response headers."""
    app.before_request(_refuse_foreign_requests)
    app.before_request(_receive)
    app.after_request(_headers)


def _refuse_foreign_requests() -> None:
    """Unsafe methods need a sign of the browser that our own page sent them.

    `Sec-Fetch-Site` is sent by all current browsers and cannot be set by scripts; where it is missing, a
    same-origin `Origin` serves. The launch key in the path is a second, unguessable condition.
    """
    if request.method not in UNSAFE or request.endpoint is None:
        return
    if getattr(app_view(), "cross_site", False):
        return
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        own = site == "same-origin"
    else:
        own = request.headers.get("Origin") == origin_of(request.url_root)
    if not own:
        raise AppError(
            "GY-FOREIGN-REQUEST",
            lazy_gettext("这个操作不是从我们的页面发出的"),
            lazy_gettext("请回到学校平台，从课程里重新打开，再试一次。"),
            status=403,
        )


def _receive() -> None:
    """Take the whole body in before any transaction begins: an unsafe request holds SQLite's one write lock from
    its first query on, and whoever sends slowly would keep everybody else from writing for as long."""
    if request.method not in UNSAFE or request.endpoint is None:
        return
    most = getattr(app_view(), "most_sent", None)
    if most is None:
        request.get_data(parse_form_data=True)
        return
    request.max_content_length = most
    with suppress(RequestEntityTooLarge):
        request.get_data(parse_form_data=True)


def app_view() -> Any:
    """The view function of this request, or None."""
    return current_app.view_functions.get(request.endpoint or "")


def _headers(response: Response) -> Response:
    if "frame_origins" not in g and response.status_code >= 400:
        allow_framing(current_app.extensions["public_frame_origins"]())
    frames = " ".join(["'self'", *g.get("frame_origins", [])])
    forms = " ".join(["'self'", *g.get("form_targets", [])])
    policy = "; ".join(f"{name} {value}" for name, value in CSP.items())
    headers = response.headers
    headers["Content-Security-Policy"] = f"{policy}; form-action {forms}; frame-ancestors {frames}"
    headers["X-Content-Type-Options"] = "nosniff"
    # Not `no-referrer`: with it browsers send `Origin: null` on form posts. Not more than the own origin,
    # because page addresses hold the launch key.
    headers["Referrer-Policy"] = "same-origin"
    if request.is_secure:
        headers["Strict-Transport-Security"] = "max-age=31536000"
    if request.endpoint != "static":
        headers.setdefault("Cache-Control", "no-store")
    return response
