"""The forms of an HTML page, as a script or a visitor would send them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin

import requests


@dataclass
class Form:
    """A form as a script's `submit()` would send it: `action` is absolute, buttons are left out."""

    action: str
    method: str
    id: str
    page_url: str
    fields: list[tuple[str, str]] = field(default_factory=list)


def forms(page: requests.Response) -> list[Form]:
    return _read(page).forms


def auto_submitting_form(page: requests.Response) -> Form | None:
    """The form that the page's own inline script sends on load, or None."""
    if not page.headers.get("Content-Type", "").startswith("text/html"):
        return None
    html = _read(page)
    if not re.search(r"\bsubmit\s*\(", html.script):
        return None
    named = [form for form in html.forms if form.id and form.id in html.script]
    return next(iter(named + html.forms), None)


def _read(page: requests.Response) -> _Page:
    html = _Page(page.url)
    html.feed(page.content.decode(page.encoding or "utf-8", "replace"))
    html.close()
    return html


class _Page(HTMLParser):
    """Collects the forms of a page and its inline scripts, including the body's `onload`."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url
        self.forms: list[Form] = []
        self.script = ""
        self._form: Form | None = None
        self._in_script = False
        self._select = ""
        self._textarea = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        have = {name: value or "" for name, value in attrs}
        if tag == "form":
            action = urljoin(self.url, have.get("action", ""))
            method = have.get("method", "get").upper()
            self._form = Form(action, method, have.get("id", ""), self.url)
            self.forms.append(self._form)
        elif tag == "body":
            self.script += have.get("onload", "")
        elif tag == "script":
            self._in_script = True
        elif self._form is not None and "disabled" not in have:
            self._control(tag, have)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None
        elif tag == "script":
            self._in_script = False
        elif tag == "select":
            self._select = ""
        elif tag == "textarea":
            self._textarea = ""

    def handle_data(self, data: str) -> None:
        if self._in_script:
            self.script += data
        elif self._textarea and self._form is not None:
            name, value = self._form.fields.pop()
            self._form.fields.append((name, value + data))

    def _control(self, tag: str, have: Mapping[str, str]) -> None:
        assert self._form is not None
        name, kind = have.get("name", ""), have.get("type", "text")
        if tag == "select":
            self._select = name
        elif tag == "option" and self._select and "selected" in have:
            self._form.fields.append((self._select, have.get("value", "")))
        elif tag == "textarea" and name:
            self._textarea = name
            self._form.fields.append((name, ""))
        elif tag == "input" and name and kind not in ("submit", "button", "image", "reset", "file"):
            if kind in ("checkbox", "radio") and "checked" not in have:
                return
            default = "on" if kind in ("checkbox", "radio") else ""
            self._form.fields.append((name, have.get("value", default)))
