"""Who the visitor is at the moment and in which language: `?as=` and `?lang=` before the cookies."""

from __future__ import annotations

from typing import Any

from flask import Flask, Response, request

from . import school
from .words import ENGLISH

PERSON_COOKIE = "sandbox_person"
LANGUAGE_COOKIE = "sandbox_language"


def current_person() -> school.Person:
    """The chosen person; a visitor who has not chosen is the anonymous one."""
    return chosen_person() or school.PEOPLE["fangke"]


def chosen_person() -> school.Person | None:
    return school.PEOPLE.get(request.args.get("as") or request.cookies.get(PERSON_COOKIE, ""))


def current_language() -> str:
    return "en" if (request.args.get("lang") or request.cookies.get(LANGUAGE_COOKIE)) == "en" else "zh"


def translate(text: str) -> str:
    return ENGLISH[text] if current_language() == "en" else text


def install(app: Flask) -> None:
    """Give templates the visitor, and carry `?as=` and `?lang=` in every link of a page."""

    @app.url_defaults
    def carry(endpoint: str, values: dict[str, Any]) -> None:
        if endpoint == "static":
            return
        for name in ("as", "lang"):
            if name in request.args:
                values.setdefault(name, request.args[name])

    @app.context_processor
    def names() -> dict[str, Any]:
        return {"person": chosen_person(), "lang": current_language(), "t": translate, "school": school}

    @app.after_request
    def remember_language(response: Response) -> Response:
        if "lang" in request.args and request.endpoint != "static":
            response.set_cookie(LANGUAGE_COOKIE, current_language(), samesite="Lax")
        return response
