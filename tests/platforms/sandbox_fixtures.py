"""A started sandbox LMS and a tool of the test that talks to it, over real HTTP."""

from __future__ import annotations

import html
import json
import re
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from .process import free_port, python, serving

CLAIM = "https://purl.imsglobal.org/spec/lti/claim/"
MEMBERSHIP = "http://purl.imsglobal.org/vocab/lis/v2/membership#"
ENDPOINT = "https://purl.imsglobal.org/spec/lti-ags/claim/endpoint"
AGS = "https://purl.imsglobal.org/spec/lti-ags/scope/"
NRPS = "https://purl.imsglobal.org/spec/lti-nrps/scope/contextmembership.readonly"
SCOPES = f"{AGS}lineitem {AGS}result.readonly {AGS}score {NRPS}"
SCORE = "application/vnd.ims.lis.v1.score+json"
LINE_ITEM = "application/vnd.ims.lis.v2.lineitem+json"
SECONDS = 10


def new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@dataclass
class Form:
    """The self-posting form of a page."""

    action: str
    fields: dict[str, str]


def form_of(page: requests.Response) -> Form:
    action = re.search(r'<form method="post" action="([^"]+)"', page.text)
    assert action, page.text
    fields = re.findall(r'name="([^"]+)" value="([^"]*)"', page.text)
    return Form(html.unescape(action[1]), {name: html.unescape(value) for name, value in fields})


@dataclass
class Tool:
    """A tool of the test: a key set that the sandbox can fetch, and a client of its addresses."""

    url: str
    lms: str
    key: rsa.RSAPrivateKey
    session: requests.Session = field(default_factory=requests.Session)

    def get(self, path: str, **query: str) -> requests.Response:
        return self.session.get(self.lms + path, params=query, timeout=SECONDS)

    def state(self) -> Any:
        return self.get("/state").json()

    def switch(self, **wishes: Any) -> Any:
        answer = self.session.post(f"{self.lms}/switches", json=wishes, timeout=SECONDS)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def login(self, person: str, link: str, **query: str) -> dict[str, str]:
        """Start a launch; the authentication request that the tool would answer with."""
        form = form_of(self.get(f"/launch/{link}", **{"as": person, **query}))
        assert form.action == f"{self.url}/lti/login"
        assert form.fields["iss"] == self.lms
        return {
            "scope": "openid",
            "response_type": "id_token",
            "response_mode": "form_post",
            "prompt": "none",
            "client_id": form.fields["client_id"],
            "redirect_uri": form.fields["target_link_uri"],
            "login_hint": form.fields["login_hint"],
            "lti_message_hint": form.fields["lti_message_hint"],
            "state": "state-1",
            "nonce": "nonce-1",
        }

    def authenticate(self, asked: dict[str, str]) -> requests.Response:
        return self.get("/lti/auth", **asked)

    def launch(self, person: str, link: str, **query: str) -> dict[str, Any]:
        """The claims of a whole launch, verified with the key set that the sandbox publishes."""
        form = form_of(self.authenticate(self.login(person, link, **query)))
        assert (form.action, form.fields["state"]) == (f"{self.url}/lti/launch", "state-1")
        return self.read(form.fields["id_token"])

    def read(self, id_token: str) -> dict[str, Any]:
        kid = jwt.get_unverified_header(id_token)["kid"]
        keys = jwt.PyJWKSet.from_dict(self.get("/lti/jwks.json").json())
        claims: dict[str, Any] = jwt.decode(
            id_token, keys[kid].key, ["RS256"], audience="gongyu-sandbox", issuer=self.lms
        )
        return claims

    def claims(self, **changed: Any) -> dict[str, Any]:
        now = int(time.time())
        claims = {
            "iss": "gongyu-sandbox",
            "sub": "gongyu-sandbox",
            "aud": f"{self.lms}/lti/token",
            "iat": now,
            "exp": now + 60,
            "jti": uuid.uuid4().hex,
        }
        return {name: value for name, value in (claims | changed).items() if value is not None}

    def sign(self, claims: dict[str, Any], key: Any = None, kid: str = "tool-1") -> str:
        return jwt.encode(claims, key or self.key, "RS256", {"kid": kid})

    def ask_token(self, assertion: str, scope: str = SCOPES) -> requests.Response:
        return self.session.post(
            f"{self.lms}/lti/token",
            timeout=SECONDS,
            data={
                "grant_type": "client_credentials",
                "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                "client_assertion": assertion,
                "scope": scope,
            },
        )

    def token(self, scope: str = SCOPES) -> str:
        answer = self.ask_token(self.sign(self.claims()), scope)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])

    def call(
        self, method: str, url: str, token: str, body: Any = None, kind: str = LINE_ITEM
    ) -> requests.Response:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": kind}
        data = None if body is None else json.dumps(body)
        return self.session.request(method, url, headers=headers, data=data, timeout=SECONDS)

    def score(self, line_item: str, token: str, **changed: Any) -> requests.Response:
        return self.call("POST", f"{line_item}/scores", token, a_score(**changed), SCORE)

    def read_all(self, url: str, token: str, key: str | None = None) -> tuple[list[Any], int]:
        """Everything of a paged container and the number of its pages."""
        found: list[Any] = []
        pages = 0
        following: str | None = url
        while following:
            answer = self.call("GET", following, token)
            assert answer.status_code == 200, answer.text
            found += answer.json()[key] if key else answer.json()
            pages += 1
            following = answer.links.get("next", {}).get("url")
        return found, pages


def a_score(**changed: Any) -> dict[str, Any]:
    score = {
        "userId": "chen-mama",
        "scoreGiven": 17,
        "scoreMaximum": 20,
        "comment": "读完了",
        "timestamp": "2026-11-23T08:00:00Z",
        "activityProgress": "Completed",
        "gradingProgress": "FullyGraded",
    }
    return {name: value for name, value in (score | changed).items() if value is not None}


@pytest.fixture(scope="module")
def tool_key() -> rsa.RSAPrivateKey:
    return new_key()


@pytest.fixture(scope="module")
def key_set_url(tool_key: rsa.RSAPrivateKey) -> Iterator[str]:
    """The address of a tool that serves nothing but its key set."""
    key_set = {"keys": [json.loads(RSAAlgorithm.to_jwk(tool_key.public_key())) | {"kid": "tool-1"}]}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/lti/jwks.json" else 404)
            self.end_headers()
            self.wfile.write(json.dumps(key_set).encode())

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@contextmanager
def running_sandbox(folder: Path, port: int, tool: str) -> Iterator[str]:
    url = f"http://localhost:{port}"
    data = str(folder / "sandbox.sqlite3")
    command = python("-m", "tests.platforms.sandbox", "--port", str(port), "--tool", tool, "--data", data)
    with serving(command, f"{url}/state", log=folder / "log"):
        yield url


@pytest.fixture(scope="module")
def sandbox_url(key_set_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_sandbox(tmp_path_factory.mktemp("sandbox"), free_port(), key_set_url) as url:
        yield url


@pytest.fixture
def tool(sandbox_url: str, key_set_url: str, tool_key: rsa.RSAPrivateKey) -> Iterator[Tool]:
    with requests.Session() as session:
        session.post(f"{sandbox_url}/reset", timeout=SECONDS).raise_for_status()
        yield Tool(key_set_url, sandbox_url, tool_key, session)


def line_item(tool: Tool, link: str = "g1-reading") -> str:
    return str(next(one["line_item"] for one in tool.state()["links"] if one["id"] == link))
