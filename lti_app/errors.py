"""Errors that reach a person, and the one place where they become pages.

AppError            has a stable code, a title, what to do next, and an HTTP status
├── LaunchRefused   the message of an LMS was not accepted; no session was opened
├── NotAllowed      known, but not yours
└── NotHere         no such thing, or none that you may know of
"""

from __future__ import annotations

import traceback
from typing import Any

import click
import structlog
from flask import Flask, Response, g, make_response, render_template, request
from flask.cli import AppGroup
from flask_babel import gettext, lazy_gettext
from marshmallow import ValidationError
from sqlalchemy.exc import DataError, OperationalError, ProgrammingError
from werkzeug.exceptions import HTTPException

log = structlog.get_logger()


class AppError(Exception):
    """Something to tell a person. `code` is stable (GY-…); texts are already in their language."""

    status = 400

    def __init__(self, code: str, title: Any, advice: Any, *, status: int | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.title = title
        self.advice = advice
        self.status = status or self.status
        self.detail: str | None = None


class LaunchRefused(AppError):
    """`leaves_note`: what was written down for the operator is to be kept, although nobody got in."""

    status = 401
    leaves_note = False


class NotAllowed(AppError):
    status = 403

    """`why` is a sentence of the page's own; without one the page is simply not open to them."""

    def __init__(self, why: Any | None = None) -> None:
        super().__init__(
            "GY-NOT-ALLOWED",
            why or lazy_gettext("这一页不对您开放"),
            lazy_gettext("如果您认为应该能看到它，请联系班级老师或学校管理员。"),
        )


class NotHere(AppError):
    status = 404

    def __init__(self) -> None:
        super().__init__(
            "GY-NOT-FOUND",
            lazy_gettext("没有找到这一页"),
            lazy_gettext("它可能已被移走。请回到学校平台，从课程里重新打开。"),
        )


HTTP_TEXTS = {
    405: (lazy_gettext("这个地址不能这样打开"), lazy_gettext("请回到学校平台，从课程里重新打开。")),
    413: (lazy_gettext("发送的内容太大"), lazy_gettext("请减少内容后再试。")),
    429: (lazy_gettext("操作太快了"), lazy_gettext("请稍等片刻再试。")),
}


class OperatorGroup(AppGroup):
    """A group of `flask` commands that tells an operator what is wrong in a sentence, not in a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (OperationalError, ProgrammingError) as error:
            raise click.ClickException(
                f"the database cannot be used ({type(error.orig).__name__}). Is it there, and migrated? "
                "flask --app wsgi db upgrade"
            ) from error
        except (DataError, OverflowError, UnicodeError) as error:
            raise click.ClickException(
                "a value is too long, too large or not text; nothing was changed"
            ) from error


def init_errors(app: Flask) -> None:
    """Answer every error with a human page (or JSON, when that was asked for) and its code."""
    # Where even the page about an error fails: Flask would log the address, which holds launch keys.
    app.log_exception = _log_last_resort  # type: ignore[method-assign]

    @app.errorhandler(AppError)
    def app_error(error: AppError) -> Response:
        log.info("refused", code=error.code, status=error.status)
        return error_page(error.status, error.code, error.title, error.advice, detail=error.detail)

    @app.errorhandler(ValidationError)
    def bad_input(error: ValidationError) -> Response:
        """What no view explained better: a form that our pages do not make."""
        log.info("bad input", fields=sorted(map(str, error.messages_dict)))
        return error_page(
            422, "GY-BAD-INPUT", gettext("提交的内容有误"), gettext("请返回上一页，改正后再试。")
        )

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> Response:
        status = error.code or 500
        if status < 400:
            return make_response(error.get_response())
        if status == 404:
            return app_error(NotHere())
        title, advice = HTTP_TEXTS.get(
            status, (gettext("这个请求无法处理"), gettext("请回到学校平台，从课程里重新打开。"))
        )
        answer = error_page(status, f"GY-HTTP-{status}", title, advice)
        for name, value in error.get_headers():
            if name.lower() not in ("content-type", "content-length"):
                answer.headers[name] = value
        return answer

    @app.errorhandler(Exception)
    def unexpected(error: Exception) -> Response:
        # Not the error's text: a database's message may hold the values of a row.
        places = [f"{f.name}:{f.lineno}" for f in traceback.extract_tb(error.__traceback__)[-8:]]
        log.error("unexpected error", error=type(error).__name__, places=places)
        return error_page(
            500,
            "GY-UNEXPECTED",
            gettext("我们这里出了问题"),
            gettext("您做的事没有丢失。请稍后重试；如果一直这样，请把下面的代码告诉管理员。"),
        )


def _log_last_resort(exc_info: Any) -> None:
    log.error("no error page", error=getattr(exc_info[0], "__name__", "unknown"))


def error_page(status: int, code: str, title: Any, advice: Any, **more: Any) -> Response:
    """A framable page with the code; `more` goes to the template (for instance `action`)."""
    if request.accept_mimetypes.best_match(["text/html", "application/json"]) == "application/json":
        body: Any = {"error": {"code": code, "title": str(title), "advice": str(advice)}}
        return make_response(body, status)
    html = render_template(
        "errors/error.html",
        code=code,
        title=title,
        advice=advice,
        request_id=g.get("request_id"),
        **more,
    )
    return make_response(html, status)
