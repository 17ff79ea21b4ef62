"""Every address that answers without a launch, whatever is sent to it: never an error of ours, always our
headers. What is inside a launch is in test_hostile; an endpoint that is in neither fails the first test here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from tests.browsing import BASE, CROSS_SITE, SAME_ORIGIN
from tests.conftest import run

LOGIN = {
    "iss": "https://lms.test",
    "client_id": "client-of-lms.test",
    "login_hint": "parent",
    "lti_message_hint": "demo",
    "target_link_uri": "https://tool.test/lti/launch",
    "lti_deployment_id": "1",
    "lti_storage_target": "_parent",
    "gongyu_tab": "1",
}
LAUNCH = {"state": "state-x", "id_token": "a.b.c", "error": "", "lti_storage_target": "_parent"}
START = {
    "openid_configuration": "https://lms.test/openid-configuration",
    "registration_token": "reg-token",
    "invitation": "INVITATION",
}
# By endpoint: the parameters that it reads, each with an honest value. All others of ours have "/l/<key>".
PUBLIC: dict[str, dict[str, str]] = {
    "health.index": {},
    "health.alive": {},
    "health.ready": {},
    "health.design": {},
    "metrics.metrics": {},
    "bootstrap.static": {},
    "lti.login": LOGIN,
    "lti.login_checked": {"tab": "1"},
    "lti.launch": LAUNCH,
    "lti.launch_by_hand": LAUNCH,
    "lti.launch_stored": {**LAUNCH, "storage_proof": "x" * 32},
    "tabs.open_page": {"checked": "1"},
    "registrations.jwks": {},
    "registrations.logo": {},
    "registrations.manual_configuration": {"privacy": "names"},
    "dynamic_registration.register": START,
    "dynamic_registration.confirm": {
        **START,
        "names": "names",
        "placements": "course_navigation",
        "embedder": "https://lms.test",
    },
    "notices.receive": {"notices": "[]"},
}
PARTS = [
    "x",
    "canvas",
    "generic",
    "%00",
    "a%00b",
    "%ED%A0%80",
    "%FF",
    "..%2f..%2fetc%2fpasswd",
    "%0d%0aX-Evil:%20y",
    "x" * 5000,
    "课%E2%80%AE",
]
VALUES = [
    "",
    "%00",
    "a%00b",
    "%ED%A0%80",
    "%FF%FE",
    "x" * 100_000,
    "%0d%0aX-Evil:%20y",
    "9" * 400,
    "-1",
    "null",
    "%5B%7B%7D%5D",
    "javascript:alert(1)",
    "https://%5B::1/",
    "http://127.0.0.1/",
    "//evil.test",
    "%F0%9F%98%80%E2%80%AE",
]
BODIES: list[tuple[str | None, bytes]] = [
    ("application/json", b""),
    ("application/json", b"null"),
    ("application/json", b"[]"),
    ("application/json", b'"notices"'),
    ("application/json", b'{"notices": {"jwt": "x"}}'),
    ("application/json", b'{"notices": [{"jwt": 7}, null, []]}'),
    ("application/json", b'{"notices": [{"jwt": "\\ud800.\\u0000.x"}]}'),
    ("application/json", b'{"notices": [' + b'{"jwt": "a.b.c"},' * 5000 + b'{"jwt": "a.b.c"}]}'),
    ("application/json", b"[" * 100_000),
    ("application/json", b'{"notices":' * 20_000),
    ("application/json", b"9" * 100_000),
    ("application/json", b"\xff\xfe"),
    ("application/json", b'{"notices": "' + b"x" * 900_000 + b'"}'),
    ("text/plain", b"state=x&id_token=y"),
    ("text/xml", b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>'),
    ("multipart/form-data", b"no boundary"),
    ("multipart/form-data; boundary=b", b"--b\r\nContent-Disposition: form-data; name=state\r\n\r\n\x00"),
    (
        "multipart/form-data; boundary=b",
        b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n' * 2000,
    ),
    ("application/x-www-form-urlencoded", b"&".join(b"f%d=1" % number for number in range(5000))),
    ("application/x-www-form-urlencoded; charset=utf-16", b"state=\xd8\x00"),
    ("application/x-www-form-urlencoded", b"x" * 2_000_000),
    ("nonsense", b"\x00"),
    (None, b"state=x"),
]
HEADERS: list[dict[str, str]] = [
    {"Accept": "application/json"},
    {"Accept": "\xff;q=x, */*;q=-1"},
    {"Accept-Language": "zh;q=x, ☃, " + "en," * 2000},
    {"Cookie": "gongyu=\xff; gongyu-cookies=1; gongyu-notes=x.y.z; gongyu-login-x"},
    {"Referer": "javascript:alert(1)", "Origin": "null"},
    {"Referer": "https://[::1", "Sec-Fetch-Dest": "\xff"},
    {"Authorization": "Bearer \xff", "Range": "bytes=-1", "If-Modified-Since": "never"},
    {"X-Forwarded-For": "\xff", "X-Forwarded-Host": "evil.test", "X-Forwarded-Proto": "javascript"},
    {"X-HTTP-Method-Override": "DELETE", "Content-Length": "-1"},
    {"User-Agent": "x" * 20_000},
]
CACHED = {"registrations.jwks", "bootstrap.static"}
NOBODYS = [
    *("/nowhere", "/lti", "/lti/", "/l", "/l/", "/l/x", "/%00", "/%ED%A0%80", "/" + "x" * 10_000),
    *("/static/", "/static/%00", "/static/x/app.css", "/static/..%2f..%2f..%2fetc/passwd", "/static/%FF"),
    *("/lti//login", "/lti/login/", "/LTI/LOGIN", "/lti/jwks.json/", "/.env", "/.git/config"),
]
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"]


def is_public(rule: Rule) -> bool:
    return not rule.rule.startswith("/l/<key>/")


def test_every_endpoint_is_in_the_matrix(lite_app: Flask) -> None:
    assert {rule.endpoint for rule in lite_app.url_map.iter_rules() if is_public(rule)} == set(PUBLIC)


@pytest.fixture
def invitation(app: Flask) -> str:
    address = run(app, "platforms", "invite", "--school", "新学校", "--district", "渝中区").split()[0]
    return address.rpartition("/")[2]


def check(answer: TestResponse, endpoint: str, what: str) -> None:
    """No error of ours, and the headers that every answer of ours has. That a platform could not be read is an
    answer, which says so."""
    html = answer.get_data(as_text=True)
    told = answer.status_code == 502 and ("GY-REGISTER-" in html or answer.request.method == "HEAD")
    assert answer.status_code < 500 or told, what
    headers = answer.headers
    assert headers["X-Content-Type-Options"] == "nosniff", what
    policy = headers["Content-Security-Policy"]
    for part in ("default-src 'none'", "script-src 'self'", "base-uri 'none'", "frame-ancestors 'self'"):
        assert part in policy, what
    assert "*" not in policy, what
    assert "unsafe" not in policy, what
    assert headers["Referrer-Policy"] == "same-origin", what
    assert "no-store" in headers["Cache-Control"] or endpoint in CACHED, what
    assert not {"X-Evil", "Access-Control-Allow-Origin"} & set(headers.keys()), what
    if answer.status_code in (301, 302, 303, 307, 308):
        assert re.match(r"/[^/\\]|https://(tool|lms)\.test/", answer.location), f"{what}: {answer.location}"
    assert "<script>alert" not in html, what


@pytest.mark.parametrize("method", METHODS)
def test_addresses_that_nobody_has_are_told_so(lite_app: Flask, method: str) -> None:
    client = lite_app.test_client()
    for path in NOBODYS:
        answer = client.open(path, method=method, headers=SAME_ORIGIN, base_url=BASE)
        check(answer, "", f"{method} {path[:100]}")
        assert answer.status_code in (308, 404, 405), path[:100]


def addresses(app: Flask, endpoint: str) -> list[str]:
    """Those of an endpoint, with each odd thing in the place of what varies."""
    rules = [rule.rule for rule in app.url_map.iter_rules(endpoint)]
    return [re.sub(r"<[^>]+>", part, rule) for rule in rules for part in (PARTS if "<" in rule else [""])]


def spoiled(parameters: dict[str, str]) -> Iterator[str]:
    """The honest parameters with one odd value, twice the same name, without one, and as if they were lists."""
    honest = [f"{name}={value}" for name, value in parameters.items()]
    yield "&".join(honest)
    yield "&".join([*honest, *honest])
    yield "&".join(f"{name}[]={value}" for name, value in parameters.items())
    yield "&=&%00=%00&" + "&".join(honest)
    for place, name in enumerate(parameters):
        others = honest[:place] + honest[place + 1 :]
        yield "&".join(others)
        for value in VALUES:
            yield "&".join([*others, f"{name}={value}"])


@pytest.mark.parametrize("endpoint", PUBLIC)
def test_odd_addresses_and_parameters(app: Flask, invitation: str, endpoint: str) -> None:
    client = app.test_client()
    parameters = {
        **PUBLIC[endpoint],
        **({"invitation": invitation} if "invitation" in PUBLIC[endpoint] else {}),
    }
    for address in addresses(app, endpoint):
        check(client.get(address, base_url=BASE), endpoint, address)
    first = addresses(app, endpoint)[0]
    for query in spoiled(parameters):
        check(client.get(f"{first}?{query}", base_url=BASE), endpoint, f"{first}?{query[:300]}")
        form = {"data": query, "content_type": "application/x-www-form-urlencoded"}
        for headers in (SAME_ORIGIN, CROSS_SITE):
            sent = client.post(first, headers=headers, base_url=BASE, **form)
            check(sent, endpoint, f"POST {first} {query[:300]}")


@pytest.mark.parametrize("endpoint", PUBLIC)
def test_odd_methods_bodies_and_headers(app: Flask, endpoint: str) -> None:
    client = app.test_client()
    first = addresses(app, endpoint)[0]
    for method in METHODS:
        for headers in ({}, SAME_ORIGIN):
            check(
                client.open(first, method=method, headers=headers, base_url=BASE),
                endpoint,
                f"{method} {first}",
            )
    for content_type, body in BODIES:
        for method in ("POST", "GET"):
            options: Any = {"data": body, "content_type": content_type, "headers": SAME_ORIGIN}
            sent = client.open(first, method=method, base_url=BASE, **options)
            check(sent, endpoint, f"{method} {first} {content_type} {body[:60]!r}")
    for headers in HEADERS:
        for method in ("GET", "POST"):
            sent = client.open(first, method=method, headers=headers, base_url=BASE)
            check(sent, endpoint, f"{method} {first} {str(headers)[:300]}")
