"""A platform that gives its services as the specifications allow and no further, and keeps every request.

Tokens are given for assertions that our published keys verify (RFC 7523; Security Framework 1.0, 4.1) and count
for the scopes that they were asked for; services look at token, scope, method and media type. What is refused
here would be refused by 1EdTech's certification suite.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import requests
from flask import Flask

from tests.browsing import BASE
from tests.conftest import run, running
from tests.fake_platform import AGS, MEMBERSHIP_SCOPE, FakePlatform, _response

LINE_ITEM, SCORE = f"{AGS}scope/lineitem", f"{AGS}scope/score"
READ_LINE_ITEMS = f"{LINE_ITEM}.readonly"
ITEM_TYPE = "application/vnd.ims.lis.v2.lineitem+json"
ITEMS_TYPE = "application/vnd.ims.lis.v2.lineitemcontainer+json"
SCORE_TYPE = "application/vnd.ims.lis.v1.score+json"
MEMBERS_TYPE = "application/vnd.ims.lti-nrps.v2.membershipcontainer+json"
# Address, method: the scopes of which a token needs one, and the media type of the header that tells it.
SERVICES = {
    ("scores", "POST"): ({SCORE}, "Content-Type", SCORE_TYPE),
    ("lineitems", "GET"): ({LINE_ITEM, READ_LINE_ITEMS}, "Accept", ITEMS_TYPE),
    ("lineitems", "POST"): ({LINE_ITEM}, "Content-Type", ITEM_TYPE),
    ("nrps", "GET"): ({MEMBERSHIP_SCOPE}, "Accept", MEMBERS_TYPE),
}


@dataclass
class TokenRequest:
    """A request to the token endpoint, its assertion taken apart."""

    request: requests.PreparedRequest
    form: dict[str, list[str]]
    header: dict[str, Any]
    claims: dict[str, Any]

    @property
    def scopes(self) -> set[str]:
        return set(self.form["scope"][0].split())


@dataclass
class Strict:
    """What such a platform has seen and knows. `refusals` answer the next service calls instead of it."""

    platform: StrictPlatform
    app: Flask
    token_requests: list[TokenRequest] = field(default_factory=list)
    calls: list[requests.PreparedRequest] = field(default_factory=list)
    tokens: dict[str, set[str]] = field(default_factory=dict)
    granted: set[str] | None = None
    refusals: list[tuple[int, Any, dict[str, str]]] = field(default_factory=list)
    columns: list[dict[str, Any]] = field(default_factory=list)

    def bodies(self, ending: str) -> list[dict[str, Any]]:
        """The JSON of what was posted to addresses that end so."""
        paths = [(urlsplit(str(call.url)).path, call.body) for call in self.calls if call.method == "POST"]
        return [json.loads(body or b"") for path, body in paths if path.endswith(ending)]


class StrictPlatform(FakePlatform):
    """Launches as FakePlatform; services strictly. `query` stands behind each address of a column."""

    def __init__(self, host: str = "strict.test", *, kind: str = "generic", query: str = "") -> None:
        super().__init__(host, kind=kind)
        self.query = query
        self.desk: Strict | None = None

    def _endpoint(self, link: str, slug: str, class_: str) -> dict[str, Any]:
        claim = super()._endpoint(link, slug, class_)
        return {name: value + self.query if name != "scope" else value for name, value in claim.items()}

    def send(self, request: requests.PreparedRequest, **more: Any) -> requests.Response:  # type: ignore[override]
        parts = urlsplit(str(request.url))
        assert f"{parts.scheme}://{parts.netloc}" == self.issuer, "nothing of this platform goes elsewhere"
        desk = self.desk
        if desk is not None and parts.path == "/token":
            return _response(request, *self._token(desk, request))
        if desk is not None and parts.path.startswith(("/ags/", "/nrps/")):
            desk.calls.append(request)
            status, body, headers = self._serve(desk, request, parts.path)
            if status:
                return _response(request, status, body, **headers)
        return super().send(request, **more)

    def _token(self, desk: Strict, request: requests.PreparedRequest) -> tuple[int, Any]:
        assert isinstance(request.body, bytes)
        form = parse_qs(request.body.decode(), strict_parsing=True)
        assertion = form["client_assertion"][0]
        header = jwt.get_unverified_header(assertion)
        published = desk.app.test_client().get("/lti/jwks.json", base_url=BASE).json["keys"]
        (key,) = [key for key in published if key["kid"] == header["kid"]]
        claims = jwt.decode(
            assertion,
            jwt.PyJWK(key).key,
            ["RS256"],
            audience=f"{self.issuer}/token",
            issuer=self.client_id,
            options={"require": ["iss", "sub", "aud", "iat", "exp", "jti"]},
        )
        asked = TokenRequest(request, form, header, claims)
        desk.token_requests.append(asked)
        granted = asked.scopes if desk.granted is None else asked.scopes & desk.granted
        if not granted:
            return 400, {"error": "invalid_scope"}
        token = f"token-{len(desk.token_requests)}"
        desk.tokens[token] = granted
        body = {"access_token": token, "token_type": "Bearer", "expires_in": 3600}
        return 200, {**body, "scope": " ".join(sorted(granted))}

    def _serve(
        self, desk: Strict, request: requests.PreparedRequest, path: str
    ) -> tuple[int, Any, dict[str, str]]:
        """The answer, or status 0 where FakePlatform has it."""
        if desk.refusals:
            return desk.refusals.pop(0)
        service = "nrps" if path.startswith("/nrps/") else path.rpartition("/")[2]
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if token not in desk.tokens:
            return 401, {}, {}
        if (service, request.method) not in SERVICES:
            return 404, {}, {}
        scopes, name, media_type = SERVICES[service, str(request.method)]
        if not scopes & desk.tokens[token]:
            return 403, {}, {}
        if request.headers.get(name) != media_type:
            return 415, {}, {}
        return self._line_items(desk, request) if service == "lineitems" else (0, None, {})

    def _line_items(self, desk: Strict, request: requests.PreparedRequest) -> tuple[int, Any, dict[str, str]]:
        address = str(request.url).partition("?")[0]
        if request.method == "POST":
            made = {
                **json.loads(request.body or b""),
                "id": f"{address}/made-{len(desk.columns)}{self.query}",
            }
            desk.columns.append(made)
            return 201, made, {}
        query = parse_qs(urlsplit(str(request.url)).query)
        names = {"resource_link_id": "resourceLinkId", "resource_id": "resourceId", "tag": "tag"}
        wanted = {names[name]: values[0] for name, values in query.items() if name in names}
        found = [one for one in desk.columns if all(one.get(name) == said for name, said in wanted.items())]
        return 200, found, {}


def connected(url: str, folder: Path, platform: StrictPlatform) -> Iterator[Strict]:
    """An application that knows this platform, with the database at `url`."""
    for app in running(url, folder, platform):
        run(app, "platforms", "add", *platform.add_arguments, "--school", "晨光实验学校")
        platform.desk = Strict(platform, app)
        yield platform.desk


def check_token_request(asked: TokenRequest, platform: FakePlatform) -> None:
    """What RFC 7523 and the Security Framework (4.1.1) say of a token request, beyond a good signature."""
    assert asked.request.method == "POST"
    assert asked.request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert "Authorization" not in asked.request.headers
    assert "Cookie" not in asked.request.headers
    assert set(asked.form) == {"grant_type", "client_assertion_type", "client_assertion", "scope"}
    assert asked.form["grant_type"] == ["client_credentials"]
    assert asked.form["client_assertion_type"] == ["urn:ietf:params:oauth:client-assertion-type:jwt-bearer"]
    assert asked.header["alg"] == "RS256"
    assert asked.claims["iss"] == asked.claims["sub"] == platform.client_id
    assert asked.claims["aud"] == f"{platform.issuer}/token"
    now = time.time()
    assert now - 60 <= asked.claims["iat"] <= now
    assert now < asked.claims["exp"] <= now + 300
    assert len(asked.claims["jti"]) >= 22


def bearer(call: requests.PreparedRequest) -> str:
    """The token of a call, which stands in this one header."""
    kind, _, token = call.headers["Authorization"].partition(" ")
    assert kind == "Bearer"
    assert token not in str(call.url)
    assert "access_token" not in str(call.url)
    return token
