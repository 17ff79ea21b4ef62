"""A browser without a screen: it follows redirects and auto-submitting forms, and keeps cookies as browsers do.

    with Browser() as browser:
        launched = browser.launch("http://127.0.0.1:9000/launch/li?unit=unit-1")
        assert launched.page.status_code == 200
        answer = browser.submit(forms(launched.page)[0], {"answer": "b"})

Cookies are kept by host name, so a platform and a tool on different ports of 127.0.0.1 share a jar (in a
real browser, too). SameSite and Partitioned are not modelled: what they forbid is tested in Chromium.
"""

from __future__ import annotations

import http.cookiejar
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import jwt
import requests
from requests.cookies import RequestsCookieJar

from tests.platforms.forms import Form, auto_submitting_form, forms

__all__ = ["Browser", "Form", "Launched", "Step", "forms"]

LOOPBACK = ("127.0.0.1", "localhost", "::1")
MAX_STEPS = 30
SECONDS = 30
Fields = Sequence[tuple[str, str]]


class BrowserCookiePolicy(http.cookiejar.DefaultCookiePolicy):
    """Secure cookies go to https and to this machine's own names, as in Chromium and Firefox."""

    def return_ok_secure(self, cookie: http.cookiejar.Cookie, request: Any) -> bool:
        return not cookie.secure or _is_trustworthy(request.get_full_url())


@dataclass(frozen=True)
class Step:
    """One request of the browser and its answer; `form` holds the posted fields."""

    method: str
    url: str
    form: Mapping[str, str]
    response: requests.Response


@dataclass(frozen=True)
class Launched:
    """What happened between the click and the last page."""

    steps: Sequence[Step]
    page: requests.Response

    @property
    def login(self) -> Step:
        """The third-party initiated login that the platform sent to the tool (Security Framework 5.1.1.1)."""
        return self._first(lambda step: {"iss", "login_hint"} <= parameters(step).keys())

    @property
    def authentication(self) -> Step:
        """The tool's authentication request to the platform (5.1.1.2)."""
        return self._first(lambda step: "redirect_uri" in parameters(step))

    @property
    def message(self) -> Step:
        """The POST that carried the `id_token` (5.1.1.3)."""
        return self._first(lambda step: "id_token" in step.form)

    @property
    def claims(self) -> dict[str, Any]:
        """The claims of the message; the signature is not looked at: that is the tool's work."""
        return jwt.decode(self.message.form["id_token"], options={"verify_signature": False})

    def _first(self, wanted: Any) -> Step:
        for step in self.steps:
            if wanted(step):
                return step
        seen = ", ".join(f"{step.method} {step.url} {step.response.status_code}" for step in self.steps)
        raise LookupError(f"no such step in: {seen}; last page: {self.page.text[:500]}")


class _Session(requests.Session):
    """Asks its own jar, with its policy, which cookies to send (requests asks a copy without it)."""

    def prepare_request(self, request: requests.Request) -> requests.PreparedRequest:
        prepared = super().prepare_request(request)
        prepared.headers.pop("Cookie", None)
        prepared.prepare_cookies(self.cookies)
        return prepared


class Browser:
    """One visitor with a cookie jar; `steps` is the whole history, oldest first."""

    def __init__(self, **headers: str) -> None:
        self.session = _Session()
        self.session.cookies = RequestsCookieJar(policy=BrowserCookiePolicy())
        self.session.headers.update({"Accept": "text/html,*/*;q=0.8", **headers})
        self.steps: list[Step] = []

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        self.session.close()

    def open(self, url: str, *, source: str | None = None) -> requests.Response:
        """The page one ends on after redirects and auto-submitting forms; `source` is the page with the link."""
        return self._settle(self._request("GET", url, (), source))

    def submit(
        self, form: Form, values: Mapping[str, str | Sequence[str]] | None = None
    ) -> requests.Response:
        """Send `form` with `values` in place of its own fields of the same names; follow as `open` does."""
        return self._settle(self._send(form, values or {}))

    def launch(self, url: str) -> Launched:
        """Open a platform's link to a tool."""
        before = len(self.steps)
        page = self.open(url)
        return Launched(tuple(self.steps[before:]), page)

    def _settle(self, page: requests.Response) -> requests.Response:
        for _ in range(MAX_STEPS):
            form = auto_submitting_form(page)
            if form is None:
                return page
            page = self._send(form, {})
        raise RuntimeError(f"forms without end at {page.url}")

    def _send(self, form: Form, values: Mapping[str, str | Sequence[str]]) -> requests.Response:
        fields = [(name, value) for name, value in form.fields if name not in values]
        for name, value in values.items():
            fields += [(name, one) for one in ([value] if isinstance(value, str) else value)]
        return self._request(form.method, form.action, fields, form.page_url)

    def _request(self, method: str, url: str, fields: Fields, source: str | None) -> requests.Response:
        chain = []
        for _ in range(MAX_STEPS):
            chain.append(url)
            query, form = ((), fields) if method == "POST" else (fields, ())
            response = self.session.request(
                method,
                url,
                params=list(query),
                data=list(form),
                headers=_fetch_headers(method, source, chain),
                allow_redirects=False,
                timeout=SECONDS,
            )
            self.steps.append(Step(method, response.url, dict(form), response))
            following = response.next
            if following is None:
                return response
            # requests has applied RFC 9110, 15.4: a POST stays one only after 307 and 308.
            method, url = str(following.method), str(following.url)
            fields = fields if method == "POST" else ()
        raise RuntimeError(f"redirects without end at {url}")


def parameters(step: Step) -> dict[str, str]:
    """Query and posted fields of a request together."""
    return {**dict(parse_qsl(urlsplit(step.url).query, keep_blank_values=True)), **step.form}


def _is_trustworthy(url: str) -> bool:
    """Whether browsers treat the origin as a secure one (W3C Secure Contexts, 3.1)."""
    parts = urlsplit(url)
    return parts.scheme == "https" or parts.hostname in LOOPBACK


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _fetch_headers(method: str, source: str | None, chain: Sequence[str]) -> dict[str, str]:
    """The headers by which a browser tells where a navigation comes from (W3C Fetch Metadata, Fetch)."""
    if source is None:
        site = "none"
    elif {_origin(url) for url in chain} == {_origin(source)}:
        site = "same-origin"
    elif {urlsplit(url).hostname for url in chain} == {urlsplit(source).hostname}:
        site = "same-site"
    else:
        site = "cross-site"
    headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    if method == "POST":
        headers["Origin"] = "null" if source is None or _is_tainted(source, chain) else _origin(source)
    return headers


def _is_tainted(source: str, chain: Sequence[str]) -> bool:
    """Whether a foreign origin has redirected to yet another one: then the post's beginning is hidden."""
    hops = [(_origin(before), _origin(after)) for before, after in itertools.pairwise(chain)]
    return any(after != before != _origin(source) for before, after in hops)
