"""What an outsider learns by trying: whatever is wrong with a secret, the answer is the same to the letter and
costs the same statements and requests to platforms. These are counted, because milliseconds on a shared machine
prove nothing. What is told apart on purpose is told only to who holds the right secret, which the tests say.

And what an insider of the server finds: no secret in the database, none in the log.
"""

from __future__ import annotations

import io
import logging
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
import time_machine
from flask import Flask
from sqlalchemy import MetaData, select
from werkzeug.test import TestResponse

from integrations.http import PlatformHttp
from lti_app import create_app
from lti_app.clock import utc_now
from lti_app.extensions import db
from tests.browsing import BASE, CROSS_SITE, SAME_ORIGIN, Page, QueryCount, Visitor
from tests.conftest import run, settings_for
from tests.fake_platform import LTI, FakePlatform
from tests.functional.courses_steps import finish
from tests.functional.families_steps import other_platform, parent, pupils_come, slips, typed
from tests.functional.test_carriers import begin, link
from tests.functional.test_families_accounts import linked, offered
from tests.functional.test_registration import begin as begin_registration
from tests.functional.test_registration import confirm, form_of


@dataclass(frozen=True)
class Seen:
    """What can be told of an answer from outside, and what it cost."""

    status: int
    body: str
    headers: tuple[tuple[str, str], ...]
    statements: tuple[str, ...]
    requests: int


def seen(app: Flask, platform: FakePlatform, ask: Callable[[], TestResponse], *known: str) -> Seen:
    """Ask, and look from outside. `known` is what the asker has typed: it may come back."""
    before = len(platform.requests)
    with QueryCount(app) as queries:
        answer = ask()
    body = re.sub(r" · [0-9a-f]{12}", "", answer.get_data(as_text=True))
    for one in known:
        body = body.replace(one, "what was typed")
    headers = {name: value for name, value in answer.headers.items() if name != "Content-Length"}
    if "Set-Cookie" in headers:
        headers["Set-Cookie"] = headers["Set-Cookie"].partition("=")[0][:13]
    return Seen(
        answer.status_code,
        body,
        tuple(sorted(headers.items())),
        tuple(statement.partition(" ")[0] for statement in queries.statements),
        len(platform.requests) - before,
    )


def same(answers: dict[str, Seen]) -> None:
    """One answer for all; shows which one differs, and in what."""
    (first, expected), *others = answers.items()
    for name, one in others:
        for part in ("status", "body", "headers", "statements", "requests"):
            assert getattr(one, part) == getattr(expected, part), f"{part} of {name} against {first}"


@pytest.fixture
def visit(app: Flask, platform: FakePlatform) -> Visitor:
    return Visitor(app, platform)


@pytest.mark.parametrize("way", ["launch", "look"])
def test_unknown_used_and_expired_states(
    app: Flask, platform: FakePlatform, visit: Visitor, way: str
) -> None:
    def ask(state: str) -> Seen:
        client = app.test_client()
        if way == "look":
            return seen(app, platform, lambda: client.get(f"/lti/login/{state}", base_url=BASE), state)
        return seen(app, platform, lambda: visit.finish(client, state, spent), state)

    client = app.test_client()
    used, nonce = visit.begin(client, "parent")
    spent = platform.sign(platform.claims("parent", "demo", nonce))
    assert visit.finish(client, used, spent).status_code == 303
    expired, _ = visit.begin(client, "parent")
    unknown = "state-" + "x" * 32
    with time_machine.travel(utc_now() + timedelta(minutes=11)):
        ask(unknown)  # what is kept for minutes is read again
        same({"unknown": ask(unknown), "used": ask(used), "expired": ask(expired)})


def test_a_missing_and_a_wrong_proof_of_the_browser(
    app: Flask, platform: FakePlatform, visit: Visitor
) -> None:
    answers = {}
    for name, proof in (("wrong", "y" * 32), ("another login's", begin(app, platform).secret)):
        stored = begin(app, platform)
        answers[name] = seen(
            app, platform, lambda stored=stored, proof=proof: stored.prove(storage_proof=proof)
        )
    same(answers)
    client, stranger = app.test_client(), app.test_client()
    for name, browser in (("no cookie", stranger), ("another login's cookie", client)):
        state, nonce = visit.begin(app.test_client(), "parent")
        visit.begin(client, "parent")
        token = platform.sign(platform.claims("parent", "demo", nonce))
        answers[name] = seen(app, platform, lambda b=browser, s=state, t=token: visit.finish(b, s, t))
    same({name: answers[name] for name in ("no cookie", "another login's cookie")})


def test_unknown_and_expired_launches(app: Flask, platform: FakePlatform, visit: Visitor) -> None:
    """Another browser is told that the page is not its own, but only by the whole key (192 bits)."""
    page = visit("parent")
    key = page.root.removeprefix("/l/")
    near = key[:-1] + ("A" if key[-1] != "A" else "B")
    guesses = {
        "unknown": "x" * len(key),
        "one letter off": near,
        "short": key[:-1],
        "other case": key.swapcase(),
    }

    def ask(guess: str) -> Seen:
        return seen(app, platform, lambda: page.client.get(f"/l/{guess}/course", base_url=BASE), guess)

    with time_machine.travel(utc_now() + timedelta(hours=13)):
        ask("x")
        same({name: ask(guess) for name, guess in {**guesses, "expired": key}.items()})
    foreign = app.test_client().get(f"{page.root}/course", base_url=BASE)
    assert foreign.status_code == 401
    assert "陈妈妈" not in foreign.get_data(as_text=True)


def test_unknown_used_and_expired_one_time_links(app: Flask, platform: FakePlatform, visit: Visitor) -> None:
    page = visit("observer")
    tab = app.test_client()

    def ask(address: str) -> Seen:
        return seen(app, platform, lambda: tab.get(f"{address}?checked=1", base_url=BASE), address)

    used, late, ended = link(page), link(page), link(page)
    assert tab.get(f"{used}?checked=1", base_url=BASE).status_code == 302
    run(app, "platforms", "disable", "lms.test")
    closed = ask(ended)
    run(app, "platforms", "enable", "lms.test")
    with time_machine.travel(utc_now() + timedelta(seconds=61)):
        ask("/lti/open/x")
        expired = ask(late)
        same({"unknown": ask("/lti/open/" + "x" * 32), "used": ask(used), "expired": expired})
    # The link was right, so its launch is looked at; what is told is the same.
    assert (closed.status, closed.body) == (expired.status, expired.body)


def test_guessed_invitations(app: Flask, platform: FakePlatform) -> None:
    """Used and expired ones are told apart for the administrator who has the whole code (144 bits)."""
    address = run(app, "platforms", "invite", "--school", "新学校", "--district", "渝中区").split()[0]
    code = address.rpartition("/")[2]
    guesses = [
        "x" * len(code),
        code[:-1],
        code + "x",
        code.swapcase(),
        code[:-1] + ("A" if code[-1] != "A" else "B"),
    ]
    client = app.test_client()
    for method in ("GET", "POST"):
        answers = {}
        for guess in guesses:
            values = {"openid_configuration": "https://lms.test/c", "names": "names", "invitation": guess}
            given = {"query_string": values} if method == "GET" else {"data": values}
            answers[guess] = seen(
                app,
                platform,
                lambda m=method, g=given: client.open(
                    "/lti/register", method=m, headers=SAME_ORIGIN, base_url=BASE, **g
                ),
            )
        same(answers)
        assert answers[code[:-1]].status == 404
        assert answers[code[:-1]].requests == 0, "nothing is fetched for who has no invitation"


def test_wrong_claim_codes(app: Flask, platform: FakePlatform, visit: Visitor) -> None:
    """Unknown, expired, replaced, and right at another school: nothing says whether a child has a code."""
    teacher = pupils_come(visit, "pupil")
    replaced = slips(teacher)["陈小雨"]
    pk = re.search(r"/families/codes/(\d+)/revoke", teacher.get("/families").html)
    assert pk is not None
    code = slips(teacher, int(pk[1]))["陈小雨"]
    page, elsewhere = parent(visit), parent(other_platform(app))
    invented = "0000-0000-0000"

    def ask(page: Page, typed_code: str) -> Seen:
        return seen(app, platform, lambda: typed(page, typed_code).response, typed_code, page.root)

    ask(page, invented)  # the first wrong one makes the row that counts
    first = ask(page, invented)
    ask(elsewhere, invented)
    at_home = {"unknown": first, "replaced": ask(page, replaced)}
    same(at_home)
    same({"unknown": ask(elsewhere, invented), "of another school": ask(elsewhere, code)})
    with time_machine.travel(utc_now() + timedelta(days=61)):
        late = parent(visit)
        ask(late, invented)
        same({"unknown": ask(late, invented), "expired": ask(late, code)})


def test_wrong_link_codes(app: Flask, platform: FakePlatform, visit: Visitor) -> None:
    owner, page = parent(visit), parent(visit, "father")
    replaced = offered(owner)
    expired = offered(owner)

    def ask(code: str) -> Seen:
        return seen(app, platform, lambda: linked(page, code).response, code, page.root)

    ask("0000-0000-0000")
    same({"unknown": ask("0000-0000-0000"), "replaced": ask(replaced)})
    with time_machine.travel(utc_now() + timedelta(minutes=11)):
        ask("0000-0000-0000")
        same({"unknown": ask("0000-0000-0000"), "expired": ask(expired)})


def test_notices_that_are_not_believed(app: Flask, platform: FakePlatform, visit: Visitor) -> None:
    """Whose notices are taken is not told. Only the platform itself, whose signature is good, learns more."""
    visit("parent")
    client = app.test_client()
    claims = platform.claims("parent", "demo", "n")
    own = platform.sign(claims)

    def ask(token: str) -> Seen:
        return seen(
            app,
            platform,
            lambda: client.post("/lti/notices", json={"notices": [{"jwt": token}]}, base_url=BASE),
        )

    unknown = ask(platform.sign({**claims, "iss": "https://nobody.test"}))
    answers = {
        "unknown platform": unknown,
        "unknown client": ask(platform.sign({**claims, "aud": "nobody"})),
        "forged": ask(own[:-20] + "A" * 20),
        "no notice": ask(own),
        "wrong version": ask(platform.sign({**claims, LTI + "version": "2"})),
    }
    for name, one in answers.items():
        assert (one.status, one.body, one.headers) == (200, unknown.body, unknown.headers), name
        assert one.requests == 0, name


def test_nobody_learns_which_people_and_classes_there_are(
    app: Flask, platform: FakePlatform, visit: Visitor
) -> None:
    """A family's numbers, lists and scores of others are as if they were not there."""
    teacher = pupils_come(visit, "pupil")
    slips(teacher)
    stranger = Visitor(app, platform)("teacher", "demo/another-class")
    (one,) = re.findall(r"/families/codes/(\d+)/revoke", teacher.get("/families").html)
    answers = {
        number: seen(
            app,
            platform,
            lambda n=number: stranger.post(f"/families/codes/{n}/revoke").response,
            stranger.root,
        )
        for number in (one, "999999")
    }
    same(answers)


# -- what is kept, and what is logged ----------------------------------------------------------------------


@dataclass
class Secrets:
    """Secrets by name, as flows through the whole product bring them forth."""

    found: dict[str, str] = field(default_factory=dict)

    def add(self, **more: str) -> None:
        for name, value in more.items():
            assert len(value) >= 9, name
            self.found[name] = value

    def in_text(self, text: str) -> list[str]:
        return [name for name, value in self.found.items() if value in text]


class Listening(FakePlatform):
    """Keeps what we send in headers and forms."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[str] = []

    def send(self, request: requests.PreparedRequest, **more: Any) -> requests.Response:  # type: ignore[override]
        body = request.body.decode() if isinstance(request.body, bytes) else request.body
        self.sent += [request.headers.get("Authorization") or "", body or ""]
        return super().send(request, **more)


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What processes write to their error stream: our events, and Flask's."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    return stream


@pytest.fixture
def loud(database_url: str, tmp_path: Path, log: io.StringIO) -> Iterator[tuple[Flask, Listening]]:
    """The application with all its log events."""
    platform = Listening()
    settings = settings_for(tmp_path, database_url, log_level="DEBUG")
    app = create_app(settings, http=PlatformHttp(adapter=platform))
    yield app, platform
    with app.app_context():
        db.session.remove()
        db.engine.dispose()


def walk(app: Flask, platform: Listening) -> Secrets:
    """People launch, open tabs, register, claim and link; each secret is used, and then used wrongly."""
    secrets, visit = Secrets(), Visitor(app, platform)
    _launches(app, platform, visit, secrets)
    _families(app, visit, secrets)
    _registration(app, platform, secrets)
    finish(parent(visit, "nameless"))
    platform.faults = [_refuse, _refuse]
    run(app, "gradebook", "deliver", "--once")
    with time_machine.travel(utc_now() + timedelta(hours=2)):
        run(app, "gradebook", "deliver", "--once")
    secrets.add(access_token=next(one for one in reversed(platform.sent) if one.startswith("Bearer "))[7:])
    assertion = next(one for one in platform.sent if "client_assertion=" in one)
    secrets.add(assertion=assertion.partition("client_assertion=")[2].partition("&")[0])
    return secrets


def _refuse(request: requests.PreparedRequest) -> requests.RequestException:
    """As a library would say it: with everything that was sent."""
    return requests.ConnectionError(f"{request.url} {request.headers} {request.body!r}")


def _launches(app: Flask, platform: Listening, visit: Visitor, secrets: Secrets) -> None:
    client = app.test_client()
    state, nonce = visit.begin(client, "observer")
    token = platform.sign(platform.claims("observer", "demo", nonce))
    login = next(cookie for cookie in client._cookies.values() if cookie.key.startswith("gongyu-login"))
    answer = visit.finish(client, state, token)
    key = answer.location.split("/")[2]
    bound = client.get_cookie("gongyu", domain="tool.test", path=f"/l/{key}")
    assert bound is not None
    page = Page(client, answer, f"/l/{key}")
    ticket = link(page)
    secrets.add(login_secret=login.value, id_token=token, launch_key=key, launch_cookie=bound.value)
    secrets.add(ticket=ticket.rpartition("/")[2], nonce_proof=begin(app, platform).secret)
    for _ in range(2):
        app.test_client().get(f"{ticket}?checked=1", base_url=BASE)
        visit.finish(client, state, token)
        app.test_client().get(f"/l/{key}/course", base_url=BASE)
        app.test_client().post(f"/l/{key}/language", data={"locale": "x"}, headers=CROSS_SITE, base_url=BASE)
        client.get(f"/l/{key}/nowhere", base_url=BASE)
        client.post(f"/l/{key}/language", data={"locale": token}, headers=SAME_ORIGIN, base_url=BASE)


def _families(app: Flask, visit: Visitor, secrets: Secrets) -> None:
    code = slips(pupils_come(visit, "pupil"))["陈小雨"]
    page = parent(visit)
    shown = offered(page)
    secrets.add(claim_code=code, link_code=shown)
    assert "已认领" in typed(page, code).text
    assert "已连接" in linked(parent(visit, "father"), shown).text
    typed(page, code)
    linked(parent(visit, "father"), shown)


def _registration(app: Flask, platform: Listening, secrets: Secrets) -> None:
    address = run(app, "platforms", "invite", "--school", "新学校", "--district", "渝中区").split()[0]
    code = address.rpartition("/")[2]
    platform.registration_token = "registration-token-of-the-platform"
    secrets.add(invitation=code, registration_token=platform.registration_token)
    registering = FakePlatform("new.test", kind="moodle")
    registering.registration_token = platform.registration_token
    platform.configuration = {"issuer": "https://new.test"}
    form = form_of(begin_registration(app, registering, code))
    for status in (200, 410):
        assert confirm(app, form).status_code == status
        begin_registration(app, registering, code)


def test_no_secret_is_in_the_log(
    loud: tuple[Flask, Listening], log: io.StringIO, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secrets = walk(*loud)
    logged = log.getvalue() + caplog.text
    assert "refused" in logged, "the log was listened to"
    assert secrets.in_text(logged) == []
    assert not re.findall(r"陈妈妈|王老师|陈小雨|u-parent|u-pupil", logged), "nor people"


def test_no_secret_is_in_the_database(loud: tuple[Flask, Listening]) -> None:
    app, platform = loud
    secrets = walk(app, platform)
    with app.app_context():
        tables = MetaData()
        tables.reflect(db.engine)
        kept = {table.name: repr(db.session.execute(select(table)).all()) for table in tables.sorted_tables}
    found = {name: secrets.in_text(text) for name, text in kept.items() if secrets.in_text(text)}
    assert found == {}
