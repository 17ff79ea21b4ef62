"""The connection check: every step tried for real, and a sentence that says what is wrong and what to click."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import jwt
import pytest
import requests
import time_machine
from cryptography.fernet import Fernet
from flask import Flask
from sqlalchemy import select, update

from integrations.http import PlatformHttp
from integrations.lti.probes import SCOPES
from lti_app import create_app
from lti_app.connection.checks import Finding, Step, Verdict
from lti_app.connection.models import CheckState, ConnectionCheck
from lti_app.connection.services import PAUSE, known_words, work
from lti_app.connection.words import _SENTENCES, sentence, title
from lti_app.delivery.models import DeliverySlot
from lti_app.delivery.worker import drain
from lti_app.extensions import db
from lti_app.registrations.models import Deployment, DeploymentStatus
from lti_app.registrations.services import find_by_name
from tests.browsing import Page, QueryCount, Visitor
from tests.conftest import run, settings_for
from tests.contract.captures import answer as captured
from tests.contract.captures import exchanges
from tests.fake_platform import FakePlatform, _response

MEMBERS = [
    {"user_id": "u-parent", "roles": ["Learner"], "name": "陈妈妈", "email": "chen@example.org"},
    {"user_id": "u-father", "roles": ["Learner"], "given_name": "爸爸"},
    {"user_id": "u-third", "roles": ["Learner"]},
]
Answer = Callable[[requests.PreparedRequest], requests.Response | Exception | None]


class Lms(FakePlatform):
    """A whole LMS: `granted` is what its tokens hold, `answers` replaces what an address answers."""

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)
        self.granted = set(SCOPES)
        self.strict = False
        self.answers: dict[str, Answer] = {}
        self.ahead = timedelta()

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:  # type: ignore[override]
        path = re.sub(r"^https?://[^/]+([^?]*).*$", r"\1", request.url or "")
        if path in self.answers:
            self.requests.append((request.method or "", path))
            answer = self.answers[path](request)
            if isinstance(answer, Exception):
                raise answer
            if answer is not None:
                return answer
        response = super().send(request, **options)
        response.headers["Date"] = format_datetime(datetime.now(UTC) + self.ahead, usegmt=True)
        return response

    def _answer(self, request: requests.PreparedRequest, path: str) -> tuple[int, Any]:
        if path == "/token":
            assert isinstance(request.body, bytes)
            asked = set(parse_qs(request.body.decode())["scope"][0].split())
            held = asked & self.granted
            if not held or (self.strict and held != asked):
                return 400, {"error": "invalid_scope"}
            return 200, {"access_token": "t0ken", "expires_in": 3600, "scope": " ".join(sorted(held))}
        if path.endswith("/lineitems"):
            return 200, []
        return super()._answer(request, path)


@pytest.fixture
def platform() -> Lms:
    lms = Lms()
    lms.rosters["class-1"] = MEMBERS
    return lms


def check(app: Flask, name: str = "lms.test", *, exit_code: int = 0) -> dict[str, tuple[str, str]]:
    """What the command says: {step's title: (verdict, code)}; the sentences are judged on the page."""
    text = run(app, "platforms", "check", name, exit_code=exit_code)
    found = re.findall(r"^([A-Z]+) +\S.* \[([a-z-]+)\]$", text, re.MULTILINE)
    assert len(found) == len(Step), text
    return {str(step): pair for step, pair in zip(Step, found, strict=True)}


def in_page(visit: Visitor) -> Page:
    """What an administrator sees after pressing the button, when the worker has done it."""
    page = visit("admin").post("/connection/check")
    assert page.status == 200
    drain(visit.app, [work])
    return page.get("/connection")


def test_a_good_connection_passes_every_step(app: Flask, visit: Visitor, platform: Lms) -> None:
    visit("teacher")
    found = check(app)
    assert {verdict for verdict, _ in found.values()} == {"OK"}
    page = in_page(visit)
    assert "一切正常" in page.text
    assert "读到 3 人，其中 2 人有姓名，1 人有邮箱" in page.text
    assert "https://tool.test/lti/jwks.json" in page.text


def test_before_anybody_came_it_says_what_could_not_be_tried(app: Flask, platform: Lms) -> None:
    found = check(app)
    impossible = {step for step, (verdict, _) in found.items() if verdict == "IMPOSSIBLE"}
    assert impossible == {Step.ROSTER, Step.LINE_ITEMS, Step.NAMES, Step.FRAMES}


def test_the_page_asks_a_worker_and_shows_how_far_it_is(app: Flask, visit: Visitor) -> None:
    page = visit("admin")
    assert page.get("/connection/check").response.json == {"done": True, "text": ""}
    waiting = page.post("/connection/check")
    assert "正在检查" in waiting.text
    assert "data-wait-url" in waiting.html
    assert page.get("/connection/check").response.json["done"] is False
    drain(app, [work])
    assert page.get("/connection/check").response.json == {"done": True, "text": "已检查 16 项，共 16 项"}
    assert "data-wait-url" not in page.get("/connection").html


def test_two_administrators_make_one_check_and_not_one_every_second(
    app: Flask, visit: Visitor, platform: Lms
) -> None:
    with time_machine.travel(datetime(2026, 11, 23, 19, 0, tzinfo=UTC), tick=False) as clock:
        first, second = visit("admin"), visit("admin")
        first.post("/connection/check")
        assert "刚刚检查过" in second.post("/connection/check").text
        assert drain(app, [work]) == 1
        asked = len(platform.requests)
        assert "刚刚检查过" in first.post("/connection/check").text
        assert drain(app, [work]) == 0
        clock.shift(PAUSE)
        first.post("/connection/check")
        assert drain(app, [work]) == 1
        assert len(platform.requests) > asked


def test_a_resting_platform_is_checked_because_somebody_asks(app: Flask, visit: Visitor) -> None:
    with app.app_context():
        number = find_by_name("lms.test").id  # type: ignore[union-attr]
        until = datetime.now(UTC) + timedelta(minutes=10)
        db.session.add(DeliverySlot(registration_id=number, blocked_until=until, failures=3))
        db.session.commit()
    assert "能试的都试过了" in in_page(visit).text or "可以使用" in in_page(visit).text


def test_only_an_administrator_may_ask(lite_app: Flask, platform: Lms) -> None:
    visit = Visitor(lite_app, platform)
    for user in ("teacher", "observer", "anonymous", "test-student"):
        page = visit(user, "demo")
        assert page.get("/connection").status == 403
        assert page.get("/connection/check").status == 403
        assert page.post("/connection/check").status == 403
    with lite_app.app_context():
        assert db.session.scalar(select(ConnectionCheck)) is None


def test_the_page_asks_the_same_number_of_questions_whatever_was_found(
    lite_app: Flask, platform: Lms
) -> None:
    visit = Visitor(lite_app, platform)
    page = visit("admin")

    def queries() -> int:
        with QueryCount(lite_app) as count:
            page.get("/connection")
        return len(count)

    before = queries()
    in_page(visit)
    for number in range(30):
        with lite_app.app_context():
            row = db.session.scalars(select(Deployment)).first()
            assert row is not None
            db.session.add(
                Deployment(
                    registration_id=row.registration_id,
                    deployment_id=f"d{number}",
                    status=DeploymentStatus.PENDING,
                )
            )
            db.session.commit()
    assert queries() == before


# What goes wrong


def html(status: int, text: str = "<!DOCTYPE html><title>Error</title>") -> Answer:
    return lambda request: _response(
        request, status, text.encode(), **{"Content-Type": "text/html; charset=utf-8"}
    )


def refusing(status: int, **body: str) -> Answer:
    return lambda request: _response(request, status, body)


def failing(error: Exception) -> Answer:
    return lambda _request: error


TROUBLES: list[tuple[str, Answer, Step, str, str]] = [
    ("/jwks", failing(requests.ConnectTimeout()), Step.PLATFORM_KEYS, "timeout", "防火墙"),
    ("/jwks", failing(requests.exceptions.SSLError()), Step.PLATFORM_KEYS, "tls-failed", "GONGYU_CA_FILE"),
    ("/jwks", failing(requests.ConnectionError()), Step.PLATFORM_KEYS, "unreachable", "域名查不到"),
    ("/jwks", html(200), Step.PLATFORM_KEYS, "broken-answer", "不是约定的格式"),
    ("/jwks", html(404), Step.PLATFORM_KEYS, "key-set-unavailable", "HTTP 404"),
    ("/jwks", refusing(200, keys="none"), Step.PLATFORM_KEYS, "no-usable-key", "https://lms.test/jwks"),
    ("/token", failing(requests.ReadTimeout()), Step.TOKEN, "timeout", "防火墙"),
    ("/token", html(503), Step.TOKEN, "token-endpoint-busy", "HTTP 503"),
    ("/token", html(404), Step.TOKEN, "token-endpoint-cannot-reach-us", "https://lms.test/token"),
    ("/token", html(200), Step.TOKEN, "broken-answer", "不是约定的格式"),
    ("/token", refusing(401, error="invalid_client"), Step.TOKEN, "invalid-client", "client-of-lms.test"),
    ("/token", refusing(400, error="Expired token"), Step.TOKEN, "clock-differs", "NTP"),
    ("/token", refusing(403, error="computer says no"), Step.TOKEN, "token-refused", "没有说明原因"),
    ("/nrps/class-1", refusing(403), Step.ROSTER, "forbidden", "HTTP 403"),
    ("/nrps/class-1", refusing(200, members="all"), Step.ROSTER, "broken-answer", "不是约定的格式"),
    ("/nrps/class-1", html(502), Step.ROSTER, "platform-busy", "HTTP 502"),
    ("/ags/class-1/lineitems", html(404), Step.LINE_ITEMS, "not-found", "课程可能已删除"),
]


def test_each_failure_is_told_with_what_to_do(lite_app: Flask, platform: Lms) -> None:
    visit = Visitor(lite_app, platform)
    visit("teacher")
    admin = visit("admin")
    for address, answer, step, code, words in TROUBLES:
        platform.answers = {address: answer}
        found = check(lite_app, exit_code=1)
        assert found[step] == ("FAILED", code)
        page = admin.get("/connection")
        assert "连接有问题" in page.text
        assert words in page.text, code
        assert "t0ken" not in page.html


def test_without_a_token_the_rest_is_unknown_not_wrong(lite_app: Flask, platform: Lms) -> None:
    Visitor(lite_app, platform)("teacher")
    platform.answers["/token"] = refusing(401, error="invalid_client")
    found = check(lite_app, exit_code=1)
    assert [step for step, (verdict, _) in found.items() if verdict == "FAILED"] == [Step.TOKEN]
    assert found[Step.SCORES] == ("IMPOSSIBLE", "no-token")
    assert found[Step.OUR_KEYS] == ("IMPOSSIBLE", "not-proved")


@pytest.mark.parametrize("strict", [False, True])
def test_what_is_granted_is_read_from_tokens(lite_app: Flask, platform: Lms, strict: bool) -> None:
    """Whether the platform grants a part of what is asked, or refuses all for one that it does not know."""
    Visitor(lite_app, platform)("teacher")
    platform.strict = strict
    platform.granted = {scope for scope in SCOPES if scope.endswith(("/lineitem", "/score"))}
    found = check(lite_app)
    granted = {step for step in Step if found[step] in (("OK", "granted"), ("OK", "covered"))}
    assert granted == {Step.SCORES, Step.COLUMNS, Step.COLUMNS_READ}
    assert found[Step.MEMBERS] == ("WARNING", "not-granted")
    assert found[Step.RESULTS] == ("WARNING", "not-granted")
    assert found[Step.NOTICES] == ("IMPOSSIBLE", "not-offered")
    assert found[Step.ROSTER] == ("IMPOSSIBLE", "members-not-granted")
    platform.granted = set()
    found = check(lite_app, exit_code=1)
    assert found[Step.TOKEN] == ("FAILED", "scope-not-granted")
    assert found[Step.SCORES] == ("FAILED", "not-granted")


@pytest.mark.parametrize(
    ("ahead", "found"),
    [
        (0, "clocks-agree"),
        (4, "clocks-agree"),
        (-4, "clocks-agree"),
        (9, "clock-ahead"),
        (-9, "clock-behind"),
    ],
)
def test_clocks_are_compared(lite_app: Flask, platform: Lms, ahead: int, found: str) -> None:
    platform.ahead = timedelta(seconds=ahead)
    assert check(lite_app)[Step.CLOCK][1] == found


def test_names_that_do_not_come_are_said_with_where_to_allow_them(lite_app: Flask, platform: Lms) -> None:
    visit = Visitor(lite_app, platform)
    for user in ("nameless", "teacher"):
        visit(user, **{"name": ...})
    assert check(lite_app)[Step.NAMES] == ("WARNING", "names-missing")
    assert "允许共享姓名" in in_page(visit).text


def test_an_origin_that_is_not_registered_is_found_and_allowed_by_command(
    lite_app: Flask, platform: Lms
) -> None:
    visit = Visitor(lite_app, platform)
    presentation = {"return_url": "https://class.lms.test/course/1"}
    visit("teacher", **{"https://purl.imsglobal.org/spec/lti/claim/launch_presentation": presentation})
    assert check(lite_app)[Step.FRAMES] == ("WARNING", "origin-missing")
    command = "flask platforms allow lms.test --frame-origin https://class.lms.test"
    assert command in visit("admin").get("/connection").text
    assert "allowed" in run(lite_app, *command.split()[1:])
    assert "unchanged" in run(lite_app, *command.split()[1:])
    assert check(lite_app)[Step.FRAMES] == ("OK", "origins-allowed")
    assert "--frame-origin" in run(
        lite_app, "platforms", "allow", "lms.test", "--frame-origin", "*", exit_code=1
    )
    assert "no platform" in run(lite_app, "platforms", "allow", "nowhere", exit_code=1)


def test_an_audience_that_the_platform_wants_is_set_by_command(lite_app: Flask, platform: Lms) -> None:
    wanted = "https://api.lms.test/auth/token"

    def judge(request: requests.PreparedRequest) -> requests.Response | None:
        assert isinstance(request.body, bytes)
        assertion = parse_qs(request.body.decode())["client_assertion"][0]
        claims = jwt.decode(assertion, options={"verify_signature": False})
        return None if claims["aud"] == wanted else _response(request, 400, {"error": "invalid_grant"})

    platform.answers["/token"] = judge
    assert check(lite_app, exit_code=1)[Step.TOKEN] == ("FAILED", "invalid-grant")
    run(lite_app, "platforms", "allow", "lms.test", "--token-audience", wanted)
    assert check(lite_app)[Step.TOKEN] == ("OK", "token-given")


def test_waiting_deployments_are_named(lite_app: Flask, platform: Lms) -> None:
    visit = Visitor(lite_app, platform)
    admin = visit("admin")
    with lite_app.app_context():
        number = find_by_name("lms.test").id  # type: ignore[union-attr]
        db.session.add(
            Deployment(registration_id=number, deployment_id="7:abc", status=DeploymentStatus.PENDING)
        )
        db.session.commit()
    assert check(lite_app)[Step.DEPLOYMENTS] == ("WARNING", "deployments-pending")
    assert "7:abc" in admin.get("/connection").text


def test_a_private_address_is_refused_until_the_operator_allows_it(sqlite_url: str, tmp_path: Path) -> None:
    app = create_app(settings_for(tmp_path, sqlite_url))  # the real network code, which refuses by itself
    platform = FakePlatform("127.0.0.1:9")
    run(app, "platforms", "add", *platform.add_arguments)
    name = "127.0.0.1:9"
    assert check(app, name, exit_code=1)[Step.PLATFORM_KEYS] == ("FAILED", "private-address")
    with app.app_context(), app.test_request_context():
        row = find_by_name(name)
        assert row is not None
        finding = Finding(Step.PLATFORM_KEYS, Verdict.FAILED, "private-address")
        words = sentence(finding, **known_words(row.id))
    command = f"flask platforms allow {name} --private-network"
    assert command in words
    run(app, *command.split()[1:])
    assert check(app, name, exit_code=1)[Step.PLATFORM_KEYS] == ("FAILED", "unreachable")


def test_a_locked_key_of_ours_is_our_trouble(sqlite_url: str, tmp_path: Path, platform: Lms) -> None:
    network = PlatformHttp(adapter=platform)
    owner = create_app(settings_for(tmp_path, sqlite_url), http=network)
    run(owner, "keys", "ensure")
    secret = Fernet.generate_key().decode()
    app = create_app(settings_for(tmp_path, sqlite_url, key_encryption_key=secret), http=network)
    assert check(app, exit_code=1)[Step.TOKEN] == ("FAILED", "tool-key-locked")


def test_a_tool_without_https_cannot_be_embedded(sqlite_url: str, tmp_path: Path, platform: Lms) -> None:
    settings = settings_for(tmp_path, sqlite_url, public_url="http://tool.school.cn")
    app = create_app(settings, http=PlatformHttp(adapter=platform))
    assert check(app, exit_code=1)[Step.ADDRESSES] == ("FAILED", "tool-without-https")


def test_a_check_that_breaks_says_so_and_does_not_run_for_ever(
    app: Flask, visit: Visitor, platform: Lms
) -> None:
    admin = visit("admin")
    platform.answers["/token"] = failing(MemoryError())
    admin.post("/connection/check")
    assert drain(app, [work]) == 0
    page = admin.get("/connection")
    assert "检查中途出错了" in page.text
    assert drain(app, [work]) == 0


def test_a_worker_that_died_leaves_the_check_to_the_next_one(app: Flask, visit: Visitor) -> None:
    admin = visit("admin")
    admin.post("/connection/check")
    with app.app_context():
        db.session.execute(update(ConnectionCheck).values(results=[{"step": "token"}]))
        db.session.commit()
        assert db.session.scalars(select(ConnectionCheck)).one().state is CheckState.REQUESTED
    assert drain(app, [work]) == 1
    assert "已检查 16 项" in admin.get("/connection/check").response.json["text"]


# Words


def test_every_sentence_can_be_said_with_what_its_finding_and_the_registration_know(
    lite_app: Flask,
) -> None:
    with lite_app.test_request_context():
        known = known_words(find_by_name("lms.test").id)  # type: ignore[union-attr]
        for code, pattern in _SENTENCES.items():
            named = set(re.findall(r"%\((\w+)\)s", str(pattern)))
            values = dict.fromkeys(named - {*known, "status"}, "1")
            assert "%(" not in sentence(Finding(Step.TOKEN, Verdict.FAILED, code, values), **known)
        assert all(title(step) for step in Step)


def test_an_unknown_code_still_makes_a_sentence(lite_app: Flask) -> None:
    with lite_app.test_request_context():
        assert "brand-new" in sentence(Finding(Step.TOKEN, Verdict.FAILED, "brand-new"))


# A real Moodle's token endpoint


def test_what_a_real_moodle_refuses_gets_a_reason_of_its_own(sqlite_url: str, tmp_path: Path) -> None:
    app, lms = _moodle(sqlite_url, tmp_path)
    reasons = {}
    for case in exchanges("20-token-endpoint"):
        if "/token.php" not in case["url"]:
            continue
        lms.answers["/token"] = replayed(case)
        found = check(app, "moodle.test", exit_code=0 if case["status"] == 200 else 1)
        reasons[case["case"]] = found[Step.TOKEN]
        assert (found[Step.TOKEN] == ("OK", "token-given")) is (case["status"] == 200)
    assert "token-refused" not in {code for _, code in reasons.values()}, reasons
    assert reasons["unknown client (sub)"][1] == "invalid-client"
    assert reasons["right key, unknown kid"][1] == "key-unknown-to-platform"
    assert reasons["iat 3 s in the future"][1] == "clock-differs"


def test_a_moodle_that_may_not_fetch_our_keys_is_recognised(sqlite_url: str, tmp_path: Path) -> None:
    app, lms = _moodle(sqlite_url, tmp_path)
    (blocked,) = exchanges("20b-token-jwks-blocked")
    lms.answers["/token"] = replayed(blocked)
    found = check(app, "moodle.test", exit_code=1)
    assert found[Step.TOKEN] == ("FAILED", "keys-fetch-blocked")
    assert found[Step.OUR_KEYS] == ("FAILED", "platform-cannot-verify-us")
    text = Visitor(app, lms)("admin", "/").get("/connection").text
    assert "Site administration › General › Security › HTTP security" in text
    assert "cURL blocked hosts list" in text
    assert "https://tool.test/lti/jwks.json" in text


def replayed(case: dict[str, Any]) -> Answer:
    recorded = captured(case)
    return lambda request: _response(request, recorded.status, recorded.body, **dict(recorded.headers))


def _moodle(sqlite_url: str, tmp_path: Path) -> tuple[Flask, Lms]:
    lms = Lms(host="moodle.test", kind="moodle")
    app = create_app(settings_for(tmp_path, sqlite_url), http=PlatformHttp(adapter=lms))
    run(app, "platforms", "add", *lms.add_arguments)
    return app, lms


CANVAS_WORDS = [
    ({"error": "invalid_client", "error_description": "JWK Error: Invalid JSON"}, "keys-fetch-failed"),
    ({"error": "invalid_client", "error_description": "JWS signature invalid."}, "signature-refused"),
    ({"error": "invalid_client", "error_description": "the 'aud' is invalid"}, "audience-refused"),
    ({"error": "invalid_client", "error_description": "unknown client"}, "invalid-client"),
]


def test_what_canvas_says_beside_the_code_is_used(sqlite_url: str, tmp_path: Path) -> None:
    lms = Lms(host="canvas.test", kind="canvas")
    app = create_app(settings_for(tmp_path, sqlite_url), http=PlatformHttp(adapter=lms))
    run(app, "platforms", "add", *lms.add_arguments)
    for body, code in CANVAS_WORDS:
        lms.answers["/token"] = refusing(401, **body)
        assert check(app, "canvas.test", exit_code=1)[Step.TOKEN] == ("FAILED", code)
