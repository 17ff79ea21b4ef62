"""Launching and clicking through the front door with Flask's test client, as a browser would."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event
from werkzeug.test import TestResponse

from lti_app.extensions import db
from tests.fake_platform import FakePlatform

BASE = "https://tool.test"
SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}
CROSS_SITE = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "iframe"}


@dataclass
class Page:
    """A page of one launch. `root` is the launch's address (`/l/<key>`)."""

    client: FlaskClient
    response: TestResponse
    root: str

    @property
    def status(self) -> int:
        return self.response.status_code

    @property
    def html(self) -> str:
        return self.response.get_data(as_text=True)

    @property
    def text(self) -> str:
        """What a person reads: tags removed, white space folded."""
        return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", self.html))).strip()

    def get(self, path: str) -> Page:
        return self._page(self.client.get(self._url(path), base_url=BASE, follow_redirects=True))

    def post(self, path: str, data: dict[str, Any] | bytes | None = None, **options: Any) -> Page:
        headers = {**SAME_ORIGIN, **options.pop("headers", {})}
        follow = options.pop("follow_redirects", True)
        return self._page(
            self.client.post(
                self._url(path), data=data, headers=headers, base_url=BASE, follow_redirects=follow, **options
            )
        )

    def _url(self, path: str) -> str:
        return path if path.startswith("/l/") else self.root + path

    def _page(self, response: TestResponse) -> Page:
        return Page(self.client, response, self.root)


@dataclass
class Visitor:
    """Somebody who launches from `platform`; each launch uses a fresh browser unless one is given."""

    app: Flask
    platform: FakePlatform
    clients: list[FlaskClient] = field(default_factory=list)

    def __call__(
        self, user: str, link: str = "demo", *, client: FlaskClient | None = None, **changes: Any
    ) -> Page:
        client = client or self.app.test_client()
        answer = self.launch(user, link, client=client, **changes)
        assert answer.status_code == 303, answer.get_data(as_text=True)
        location = urlsplit(answer.location).path
        root = "/".join(location.split("/")[:3])
        first = client.get(location, base_url=BASE, follow_redirects=True)
        return Page(client, first, root)

    def launch(
        self, user: str, link: str = "demo", *, client: FlaskClient | None = None, **changes: Any
    ) -> TestResponse:
        """The answer of /lti/launch to a whole, honest OIDC round (claims may be changed; `...` removes)."""
        client = client or self.app.test_client()
        state, nonce = self.begin(client, user, link)
        token = self.platform.sign(self.platform.claims(user, link, nonce, **changes))
        return self.finish(client, state, token)

    def begin(self, client: FlaskClient, user: str, link: str = "demo") -> tuple[str, str]:
        """Go through /lti/login up to the platform; returns the state and the nonce it was given."""
        parameters = self.platform.login_parameters(user, link)
        answer = client.post("/lti/login", data=parameters, headers=CROSS_SITE, base_url=BASE)
        while answer.status_code == 302 and urlsplit(answer.location).netloc in ("", "tool.test"):
            answer = client.get(answer.location, headers=CROSS_SITE, base_url=BASE)
        assert answer.status_code == 302, answer.get_data(as_text=True)
        query = parse_qs(urlsplit(answer.location).query)
        return query["state"][0], query["nonce"][0]

    def finish(self, client: FlaskClient, state: str, token: str) -> TestResponse:
        return client.post(
            "/lti/launch", data={"state": state, "id_token": token}, headers=CROSS_SITE, base_url=BASE
        )


class QueryCount:
    """`with QueryCount(app) as queries:` counts the statements that reach the database."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.statements: list[str] = []

    def __enter__(self) -> QueryCount:
        with self.app.app_context():
            event.listen(db.engine, "before_cursor_execute", self._note)
        return self

    def __exit__(self, *_: object) -> None:
        with self.app.app_context():
            event.remove(db.engine, "before_cursor_execute", self._note)

    def __len__(self) -> int:
        return len(self.statements)

    def _note(self, _c: Any, _cur: Any, statement: str, *_: Any) -> None:
        self.statements.append(statement)
