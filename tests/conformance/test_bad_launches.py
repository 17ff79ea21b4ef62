"""Launches that must be refused: each gets a 4xx page with a stable code, no session, and never a 5xx.

The list follows the known bad payloads of 1EdTech's LTI 1.3 certification and the audit of PyLTI1p3.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from lti_app.extensions import db
from lti_app.launches.models import LaunchSession
from lti_app.roster.models import LtiUser
from tests.browsing import BASE, CROSS_SITE, Visitor
from tests.conftest import run, running
from tests.fake_platform import LTI, FakePlatform, _key

FOREIGN = rsa.generate_private_key(public_exponent=65537, key_size=2048)
Maker = Callable[[FakePlatform, dict[str, Any]], str]


@pytest.fixture(scope="module")
def setting(
    sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Flask, FakePlatform]]:
    folder = tmp_path_factory.mktemp("bad")
    (folder / "gongyu.sqlite3").write_bytes(sqlite_template.read_bytes())
    platform = FakePlatform()
    for app in running(f"sqlite:///{folder / 'gongyu.sqlite3'}", folder, platform):
        yield app, platform


def refused(app: Flask, answer: TestResponse, code: str | None = None) -> None:
    assert 400 <= answer.status_code < 500, answer.get_data(as_text=True)
    assert "GY-LAUNCH-" in answer.get_data(as_text=True)
    if code:
        assert f"GY-LAUNCH-{code}" in answer.get_data(as_text=True)
    assert not any(cookie.startswith("gongyu=") for cookie in answer.headers.getlist("Set-Cookie"))
    with app.app_context():
        assert db.session.scalar(select(func.count()).select_from(LaunchSession)) == 0
        assert db.session.scalar(select(func.count()).select_from(LtiUser)) == 0


def changed(**changes: Any) -> Maker:
    return lambda platform, claims: platform.sign(
        {name: value for name, value in {**claims, **changes}.items() if value is not ...}
    )


def with_header(**headers: Any) -> Maker:
    return lambda platform, claims: platform.sign(claims, **headers)


def unsigned(platform: FakePlatform, claims: dict[str, Any]) -> str:
    return jwt.encode(claims, None, "none", headers={"kid": "key-0"})


def hs256_with_public_key(platform: FakePlatform, claims: dict[str, Any]) -> str:
    pem = (
        _key(0)
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    parts = [_b64({"alg": "HS256", "typ": "JWT", "kid": "key-0"}), _b64(claims)]
    mac = hmac.new(pem, ".".join(parts).encode(), hashlib.sha256).digest()
    return ".".join([*parts, base64.urlsafe_b64encode(mac).rstrip(b"=").decode()])


def signed_by_a_stranger(platform: FakePlatform, claims: dict[str, Any]) -> str:
    return jwt.encode(claims, FOREIGN, "RS256", headers={"kid": "key-0"})


def no_kid(platform: FakePlatform, claims: dict[str, Any]) -> str:
    return jwt.encode(claims, _key(0), "RS256")


def embedded_key(platform: FakePlatform, claims: dict[str, Any]) -> str:
    jwk = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(FOREIGN.public_key()))
    return jwt.encode(claims, FOREIGN, "RS256", headers={"kid": "key-0", "jwk": jwk})


def tampered(platform: FakePlatform, claims: dict[str, Any]) -> str:
    header, _, signature = platform.sign(claims).split(".")
    return ".".join([header, _b64({**claims, "sub": "somebody-else"}), signature])


def huge(platform: FakePlatform, claims: dict[str, Any]) -> str:
    return platform.sign({**claims, "padding": "x" * 1_000_000})


def large(platform: FakePlatform, claims: dict[str, Any]) -> str:
    return platform.sign({**claims, "padding": "x" * 100_000})


def _b64(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


NOW = int(time.time())
BAD: dict[str, tuple[Maker, str | None]] = {
    "no kid": (no_kid, "MISSING-KID"),
    "unknown kid": (with_header(kid="key-99"), "UNKNOWN-KEY"),
    "alg none": (unsigned, "BAD-ALGORITHM"),
    "HS256 with the public key": (hs256_with_public_key, "BAD-ALGORITHM"),
    "embedded jwk": (embedded_key, "EMBEDDED-KEY"),
    "another key": (signed_by_a_stranger, "BAD-SIGNATURE"),
    "changed body": (tampered, "BAD-SIGNATURE"),
    "critical header": (with_header(crit=["x"], x=1), None),
    "wrong version": (changed(**{LTI + "version": "1.1"}), "WRONG-VERSION"),
    "no version": (changed(**{LTI + "version": ...}), "MISSING-CLAIM"),
    "no message type": (changed(**{LTI + "message_type": ...}), "MISSING-CLAIM"),
    "unknown message type": (changed(**{LTI + "message_type": "LtiStartProctoring"}), "UNSUPPORTED-MESSAGE"),
    "no roles": (changed(**{LTI + "roles": ...}), "MISSING-CLAIM"),
    "no deployment": (changed(**{LTI + "deployment_id": ...}), "MISSING-CLAIM"),
    "unknown deployment": (changed(**{LTI + "deployment_id": "77"}), "PENDING-DEPLOYMENT"),
    "no resource link": (changed(**{LTI + "resource_link": ...}), "MISSING-CLAIM"),
    "resource link as a list": (changed(**{LTI + "resource_link": []}), None),
    "resource link without id": (changed(**{LTI + "resource_link": {"title": "x"}}), None),
    "no target link": (changed(**{LTI + "target_link_uri": ...}), "MISSING-CLAIM"),
    "expired": (changed(iat=NOW - 4000, exp=NOW - 3000), "EXPIRED"),
    "no exp": (changed(exp=...), "MISSING-CLAIM"),
    "exp as text": (changed(exp="tomorrow"), "BAD-CLAIM"),
    "no iat": (changed(iat=...), "MISSING-CLAIM"),
    "future iat": (changed(iat=NOW + 3600, exp=NOW + 7200), "NOT-YET-VALID"),
    "old iat": (changed(iat=NOW - 80_000, exp=NOW + 600), None),
    "wrong aud": (changed(aud="another-tool"), "WRONG-AUDIENCE"),
    "empty aud": (changed(aud=[]), None),
    "aud list without azp": (changed(aud=["client-of-lms.test", "another-tool"]), "WRONG-AUDIENCE"),
    "wrong azp": (changed(azp="another-tool"), "WRONG-AUDIENCE"),
    "wrong iss": (changed(iss="https://evil.test"), "WRONG-ISSUER"),
    "no nonce": (changed(nonce=...), "MISSING-CLAIM"),
    "wrong nonce": (changed(nonce="of-another-login"), "WRONG-NONCE"),
    "sub as an object": (changed(sub={"id": 1}), None),
    "deep linking without settings": (
        changed(**{LTI + "message_type": "LtiDeepLinkingRequest"}),
        "MISSING-CLAIM",
    ),
    "100 kB token": (large, "TOKEN-TOO-LARGE"),
    "garbage": (lambda *_: "garbage", "MALFORMED-TOKEN"),
    "three dots of garbage": (lambda *_: "a.b.c", "MALFORMED-TOKEN"),
    "header that is no object": (lambda *_: f"{_b64([1])}.{_b64({})}.x", "MALFORMED-TOKEN"),
    "body that is no object": (
        lambda platform, _: jwt.api_jws.encode(b"[1]", _key(0), "RS256", {"kid": "key-0"}),
        None,
    ),
    "empty": (lambda *_: "", "MALFORMED-TOKEN"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_launch_is_refused(setting: tuple[Flask, FakePlatform], name: str) -> None:
    app, platform = setting
    make, code = BAD[name]
    visitor, client = Visitor(app, platform), app.test_client()
    state, nonce = visitor.begin(client, "parent")
    answer = visitor.finish(client, state, make(platform, platform.claims("parent", "demo", nonce)))
    refused(app, answer, code)


def test_a_megabyte_is_refused_before_it_is_read(setting: tuple[Flask, FakePlatform]) -> None:
    app, platform = setting
    visitor, client = Visitor(app, platform), app.test_client()
    state, nonce = visitor.begin(client, "parent")
    answer = visitor.finish(client, state, huge(platform, platform.claims("parent", "demo", nonce)))
    assert answer.status_code == 413
    assert "GY-HTTP-413" in answer.get_data(as_text=True)


def test_state_of_another_browser_is_refused(setting: tuple[Flask, FakePlatform]) -> None:
    app, platform = setting
    visitor, victim, attacker = Visitor(app, platform), app.test_client(), app.test_client()
    state, nonce = visitor.begin(attacker, "parent")
    token = platform.sign(platform.claims("parent", "demo", nonce))
    refused(app, visitor.finish(victim, state, token), "OTHER-BROWSER")


@pytest.mark.parametrize("state", ["", "state-unknown", "x" * 5000, "'; DROP TABLE person; --", "\x00"])
def test_missing_and_unknown_states_are_refused(setting: tuple[Flask, FakePlatform], state: str) -> None:
    app, platform = setting
    visitor, client = Visitor(app, platform), app.test_client()
    _, nonce = visitor.begin(client, "parent")
    token = platform.sign(platform.claims("parent", "demo", nonce))
    refused(app, visitor.finish(client, state, token))


def test_nonce_of_another_login_is_refused(setting: tuple[Flask, FakePlatform]) -> None:
    app, platform = setting
    visitor, client = Visitor(app, platform), app.test_client()
    _, first_nonce = visitor.begin(client, "parent")
    second_state, _ = visitor.begin(client, "parent")
    token = platform.sign(platform.claims("parent", "demo", first_nonce))
    refused(app, visitor.finish(client, second_state, token), "WRONG-NONCE")


@pytest.mark.parametrize(
    ("error", "code"),
    [("login_required", "LOGIN-REQUIRED"), ("access_denied", "PLATFORM-ERROR"), ("<b>", "PLATFORM-ERROR")],
)
def test_an_oidc_error_gets_a_page(setting: tuple[Flask, FakePlatform], error: str, code: str) -> None:
    app, platform = setting
    visitor, client = Visitor(app, platform), app.test_client()
    state, _ = visitor.begin(client, "parent")
    answer = client.post(
        "/lti/launch",
        data={"state": state, "error": error, "error_description": "<script>"},
        headers=CROSS_SITE,
        base_url=BASE,
    )
    refused(app, answer, code)
    assert "<script>" not in answer.get_data(as_text=True)


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"iss": "https://lms.test"},
        {"iss": "https://lms.test", "login_hint": ""},
        {"iss": "https://unknown.test", "login_hint": "u"},
        {"iss": "https://lms.test", "login_hint": "u", "client_id": "unknown"},
        {"iss": "https://lms.test", "login_hint": "u" * 10_000},
        {"iss": "\x00", "login_hint": "u"},
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_bad_login_is_refused(
    setting: tuple[Flask, FakePlatform], parameters: dict[str, str], method: str
) -> None:
    app, _ = setting
    client = app.test_client()
    values = {"query_string" if method == "GET" else "data": parameters}
    refused(app, client.open("/lti/login", method=method, base_url=BASE, **values))  # type: ignore[arg-type]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(token=st.text(max_size=300), state=st.text(max_size=80))
def test_no_text_at_all_makes_an_error_of_ours(
    setting: tuple[Flask, FakePlatform], token: str, state: str
) -> None:
    app, _ = setting
    client: FlaskClient = app.test_client()
    answer = client.post("/lti/launch", data={"id_token": token, "state": state}, base_url=BASE)
    assert 400 <= answer.status_code < 500


def test_a_disabled_platform_is_refused(sqlite_url: str, tmp_path: Path) -> None:
    platform = FakePlatform()
    for app in running(sqlite_url, tmp_path, platform):
        visitor, client = Visitor(app, platform), app.test_client()
        state, nonce = visitor.begin(client, "parent")
        run(app, "platforms", "disable", "lms.test")
        token = platform.sign(platform.claims("parent", "demo", nonce))
        refused(app, visitor.finish(client, state, token), "UNKNOWN-PLATFORM")
        answer = client.post("/lti/login", data=platform.login_parameters("parent", "demo"), base_url=BASE)
        refused(app, answer, "UNKNOWN-PLATFORM")
