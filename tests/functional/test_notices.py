"""Notices: asked for where a launch offers them, believed only when the platform signed them, counted once."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
import time_machine
from flask import Flask
from sqlalchemy import select
from time_machine import Traveller
from werkzeug.test import TestResponse

from integrations.lti.notices import SCOPE_NOTICES
from lti_app.connection.models import ReceivedNotice
from lti_app.connection.notices import subscribe
from lti_app.delivery.worker import drain
from lti_app.extensions import db
from lti_app.registrations.models import Deployment
from lti_app.registrations.services import find_by_name
from lti_app.roster.copies import MOST_ORIGINS, origins_of, record_copy
from tests.browsing import BASE, QueryCount, Visitor
from tests.conftest import run
from tests.fake_platform import LTI, FakePlatform

NOTICE_CLAIM = LTI + "platformnotificationservice"
HANDLER = "https://tool.test/lti/notices"
BOTH = ["LtiHelloWorldNotice", "LtiContextCopyNotice"]


class Handlers(FakePlatform):
    """Keeps the handlers that tools register; `refused` answers instead for some types."""

    def __init__(self) -> None:
        super().__init__()
        self.handlers: list[dict[str, str]] = []
        self.refused: dict[str, int] = {}

    def _answer(self, request: requests.PreparedRequest, path: str) -> tuple[int, Any]:
        if path != "/notice-handlers/1":
            return super()._answer(request, path)
        assert request.method == "PUT"
        assert request.headers["Authorization"].startswith("Bearer ")
        assert isinstance(request.body, bytes)
        body = json.loads(request.body)
        if body["notice_type"] in self.refused:
            return self.refused[body["notice_type"]], {"errors": "no"}
        self.handlers.append(body)
        return 200, body


@pytest.fixture
def platform() -> Handlers:
    return Handlers()


@pytest.fixture
def clock() -> Iterator[Traveller]:
    with time_machine.travel(datetime(2026, 11, 23, 19, 0, tzinfo=UTC), tick=False) as travelling:
        yield travelling


def offer(**changes: Any) -> dict[str, Any]:
    said = {
        "service_versions": ["1.0"],
        "platform_notification_service_url": "https://lms.test/notice-handlers/1",
        "scope": [SCOPE_NOTICES],
        "notice_types_supported": [*BOTH, "LtiAssetProcessorSubmissionNotice"],
        **changes,
    }
    return {NOTICE_CLAIM: said}


def notice_claims(
    platform: FakePlatform, kind: str = "LtiContextCopyNotice", **changes: Any
) -> dict[str, Any]:
    """As Canvas sends it (doc/api/pns.md)."""
    now = int(time.time())
    claims = {
        LTI + "version": "1.3.0",
        LTI + "notice": {"id": str(uuid.uuid4()), "timestamp": "2026-11-23T19:00:00Z", "type": kind},
        LTI + "deployment_id": "1",
        LTI + "context": {"id": "course-2027", "title": "2027 春"},
        LTI + "origin_contexts": ["course-2026"],
        "aud": platform.client_id,
        "azp": platform.client_id,
        "iss": platform.issuer,
        "iat": now,
        "exp": now + 3600,
        "nonce": uuid.uuid4().hex,
        **changes,
    }
    return {name: value for name, value in claims.items() if value is not ...}


def post(app: Flask, *tokens: str) -> TestResponse:
    """As a platform's server does: no browser, no cookies, none of its headers."""
    body = {"notices": [{"jwt": token} for token in tokens]}
    return app.test_client().post("/lti/notices", json=body, base_url=BASE)


def kept(app: Flask) -> list[str]:
    with app.app_context():
        return list(db.session.scalars(select(ReceivedNotice.notice_type)))


def origins(app: Flask, context_id: str = "course-2027") -> list[str]:
    with app.app_context():
        registration = find_by_name("lms.test")
        assert registration is not None
        return origins_of(registration.id, context_id)


def state(app: Flask) -> str | None:
    with app.app_context():
        return db.session.scalar(select(Deployment.notices_state))


# Asking for them


def test_handlers_are_registered_once_for_a_deployment_and_renewed_weekly(
    app: Flask, visit: Visitor, platform: Handlers, clock: Traveller
) -> None:
    for user in ("teacher", "parent", "father"):
        visit(user, **offer())
    assert drain(app, [subscribe]) == 1
    assert platform.handlers == [{"notice_type": kind, "handler": HANDLER} for kind in BOTH]
    assert state(app) == "on"
    visit("teacher", **offer())
    assert drain(app, [subscribe]) == 0
    clock.shift(timedelta(days=8))
    assert drain(app, [subscribe]) == 1
    assert len(platform.handlers) == 4


@pytest.mark.parametrize(
    "said",
    [
        {"scope": []},
        {"notice_types_supported": ["LtiAssetProcessorSubmissionNotice"]},
        {"platform_notification_service_url": "ftp://lms.test/x"},
        {"platform_notification_service_url": None},
    ],
)
def test_what_cannot_be_used_is_not_asked_for(
    lite_app: Flask, platform: Handlers, said: dict[str, Any]
) -> None:
    Visitor(lite_app, platform)("teacher", **offer(**said))
    assert drain(lite_app, [subscribe]) == 0
    assert platform.handlers == []


def test_a_platform_that_knows_only_some_types_gets_those(
    lite_app: Flask, platform: Handlers, clock: Traveller
) -> None:
    platform.refused = {"LtiContextCopyNotice": 400}
    Visitor(lite_app, platform)("teacher", **offer())
    assert drain(lite_app, [subscribe]) == 1
    assert [one["notice_type"] for one in platform.handlers] == ["LtiHelloWorldNotice"]
    assert state(lite_app) == "refused"


def test_a_platform_in_trouble_is_asked_again_hours_later_and_scores_do_not_wait(
    lite_app: Flask, platform: Handlers, clock: Traveller
) -> None:
    platform.refused = dict.fromkeys(BOTH, 503)
    visit = Visitor(lite_app, platform)
    visit("teacher", **offer())
    assert drain(lite_app, [subscribe]) == 1
    assert state(lite_app) == "platform-busy"
    assert "resting" not in run(lite_app, "gradebook", "status")
    platform.refused = {}
    clock.shift(timedelta(hours=5))
    assert drain(lite_app, [subscribe]) == 0
    clock.shift(timedelta(hours=2))
    assert drain(lite_app, [subscribe]) == 1
    assert state(lite_app) == "on"


def test_a_launch_that_offers_notices_again_asks_the_database_nothing_more(
    lite_app: Flask, platform: Handlers
) -> None:
    visit = Visitor(lite_app, platform)
    visit("teacher", **offer())
    counts = []
    for changes in ({}, offer()):
        with QueryCount(lite_app) as queries:
            visit.launch("teacher", **changes)
        counts.append(len(queries))
    assert counts[0] == counts[1]


# Receiving them


def test_a_copied_course_leads_back_to_its_origin(app: Flask, platform: Handlers) -> None:
    answer = post(app, platform.sign(notice_claims(platform)))
    assert (answer.status_code, answer.json) == (200, {"received": 1})
    assert origins(app) == ["course-2026"]


def test_a_hello_is_taken_and_changes_nothing(app: Flask, platform: Handlers) -> None:
    account = {LTI + "context": {"id": "account", "type": ["Account"]}, LTI + "origin_contexts": ...}
    post(app, platform.sign(notice_claims(platform, "LtiHelloWorldNotice", **account)))
    assert kept(app) == ["LtiHelloWorldNotice"]
    assert origins(app, "account") == []


def test_the_same_notice_counts_once(app: Flask, platform: Handlers) -> None:
    token = platform.sign(notice_claims(platform))
    assert post(app, token, token).status_code == 200
    assert post(app, token).status_code == 200
    assert kept(app) == ["LtiContextCopyNotice"]
    assert origins(app) == ["course-2026"]


def test_several_in_one_body_are_judged_one_by_one(app: Flask, platform: Handlers) -> None:
    good = platform.sign(notice_claims(platform))
    stranger = FakePlatform("other.test")
    bad = platform.sign(notice_claims(platform, **{"aud": "somebody-else", "azp": "somebody-else"}))
    assert post(app, good, bad, stranger.sign(notice_claims(stranger)), "not a token").json == {"received": 1}
    assert kept(app) == ["LtiContextCopyNotice"]


FORGED: list[Any] = [
    pytest.param({"iss": "https://evil.test"}, id="another-issuer"),
    pytest.param({"aud": "x", "azp": "x"}, id="another-client"),
    pytest.param({"aud": ["x", "y"], "azp": ...}, id="no-clear-client"),
    pytest.param({"exp": 1}, id="expired"),
    pytest.param({"exp": ...}, id="no-expiry"),
    pytest.param({"iat": 1}, id="old"),
    pytest.param({"iat": ...}, id="no-issue-time"),
    pytest.param({"nonce": ...}, id="no-nonce"),
    pytest.param({LTI + "version": "1.1"}, id="version"),
    pytest.param({LTI + "version": ...}, id="no-version"),
    pytest.param({LTI + "notice": ...}, id="no-notice"),
    pytest.param({LTI + "notice": "x"}, id="notice-no-object"),
    pytest.param({LTI + "notice": {"id": 5, "type": "LtiContextCopyNotice"}}, id="id-no-text"),
    pytest.param({LTI + "notice": {"id": "a\0b", "type": "LtiContextCopyNotice"}}, id="id-nul"),
    pytest.param({LTI + "notice": {"id": "x" * 300, "type": "LtiContextCopyNotice"}}, id="id-long"),
    pytest.param({LTI + "notice": {"id": "1", "type": "LtiUnknownNotice"}}, id="unknown-type"),
    pytest.param({LTI + "deployment_id": ...}, id="no-deployment"),
    pytest.param({LTI + "deployment_id": "99"}, id="unknown-deployment"),
    pytest.param({LTI + "context": "course"}, id="context-no-object"),
    pytest.param({LTI + "context": {"id": ["x"]}}, id="context-id-no-text"),
]


@pytest.mark.parametrize("changes", FORGED)
def test_what_is_not_a_genuine_notice_of_ours_is_passed_over(
    lite_app: Flask, platform: Handlers, changes: dict[str, Any]
) -> None:
    assert post(lite_app, platform.sign(notice_claims(platform, **changes))).status_code == 200
    assert kept(lite_app) == []
    assert origins(lite_app) == []


def test_a_foreign_signature_is_not_believed(lite_app: Flask, platform: Handlers) -> None:
    forger = FakePlatform()
    forger.key_index = 1
    token = forger.sign(notice_claims(platform), kid="key-0")
    unsigned = platform.sign(notice_claims(platform)).rpartition(".")[0] + "."
    assert post(lite_app, token).json == post(lite_app, unsigned).json == {"received": 0}
    assert kept(lite_app) == []


def test_a_platform_that_is_switched_off_is_not_heard(lite_app: Flask, platform: Handlers) -> None:
    run(lite_app, "platforms", "disable", "lms.test")
    assert post(lite_app, platform.sign(notice_claims(platform))).json == {"received": 0}


def test_a_launch_s_id_token_is_no_notice(lite_app: Flask, platform: Handlers) -> None:
    assert post(lite_app, platform.sign(platform.claims("teacher", "demo", "n"))).json == {"received": 0}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"{}",
        b'{"notices": []}',
        b'{"notices": "x"}',
        b'{"notices": [5]}',
        b'{"notices": [{"jwt": 5}]}',
        b'{"notices": [{"jwt": ""}]}',
        b'{"notices": [{"jwt": "' + b"x" * 70_000 + b'"}]}',
        b'{"notices": [' + b",".join([b'{"jwt": "x"}'] * 51) + b"]}",
        b"[" * 100_000,
        b"\xff\xfe",
    ],
)
def test_a_body_that_is_none_is_refused_and_asks_nobody_for_keys(
    lite_app: Flask, platform: Handlers, body: bytes
) -> None:
    answer = lite_app.test_client().post(
        "/lti/notices", data=body, content_type="application/json", base_url=BASE
    )
    assert answer.status_code == 400
    assert platform.requests == []


def test_odd_tokens_and_giant_bodies_do_no_harm(lite_app: Flask, platform: Handlers) -> None:
    for odd in ("x", "..", "a.b.c", "e30.e30.e30", "\u4e2d", "\ud800", "eyJhbGciOiJub25lIn0.W10.x"):
        assert post(lite_app, odd).json == {"received": 0}
    giant = lite_app.test_client().post("/lti/notices", data=b"x" * 300_000, base_url=BASE)
    assert giant.status_code in (400, 413)
    assert platform.requests == []


def test_while_the_keys_cannot_be_had_nothing_is_believed(lite_app: Flask, platform: Handlers) -> None:
    platform.faults = [lambda _: requests.ConnectTimeout("no answer")] * 3
    tokens = [platform.sign(notice_claims(platform)) for _ in range(3)]
    assert post(lite_app, *tokens).json == {"received": 0}
    assert len(platform.requests) == 1, "asked once for all"


# Where a course comes from


def test_origins_are_followed_back_the_nearest_and_newest_first(app: Flask, platform: Handlers) -> None:
    with app.app_context():
        registration = find_by_name("lms.test")
        assert registration is not None
        number = registration.id
        for copy, origin in (("d", "c"), ("c", "b"), ("b", "a"), ("d", "x"), ("a", "d"), ("d", "c")):
            record_copy(number, copy, origin)
        assert not record_copy(number, "d", "d")
        db.session.commit()
        assert origins_of(number, "d") == ["x", "c", "b", "a"]
        assert origins_of(number, "a") == ["d", "x", "c", "b"]
        assert origins_of(number + 1, "d") == []
        for step in range(30):
            record_copy(number, f"n{step + 1}", f"n{step}")
        assert origins_of(number, "n30") == [f"n{step}" for step in range(29, 29 - MOST_ORIGINS, -1)]
