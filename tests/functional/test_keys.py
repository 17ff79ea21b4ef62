"""The tool's own keys: rotated without a gap, revoked at once, and platforms that follow in their own time."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import jwt
import pytest
import requests
import time_machine
from flask import Flask
from time_machine import Traveller

from integrations.errors import PlatformRejected
from integrations.http import PlatformHttp
from integrations.lti.ags import SCOPE_SCORE
from lti_app import create_app
from lti_app.extensions import db, platform_services
from lti_app.registrations.keys import signing_key
from lti_app.registrations.models import ToolKey
from lti_app.registrations.services import find_by_name, service_access
from tests.browsing import BASE
from tests.conftest import run, settings_for
from tests.fake_platform import FakePlatform

START = datetime(2026, 11, 23, 19, 0, tzinfo=UTC)


@pytest.fixture
def clock() -> Iterator[Traveller]:
    with time_machine.travel(START, tick=False) as travelling:
        yield travelling


class VerifyingPlatform(FakePlatform):
    """Judges token requests by a key set of ours that it keeps; `refetches` is whether it asks for a new one
    when a signature cannot be verified (Moodle does so, and keeps the old one for ever otherwise)."""

    def __init__(self, refetches: bool) -> None:
        super().__init__()
        self.refetches = refetches
        self.tool: Flask | None = None
        self.kept: dict[str, Any] = {}

    def fetch(self) -> None:
        assert self.tool is not None
        answer = self.tool.test_client().get("/lti/jwks.json", base_url=BASE)
        self.kept = {key["kid"]: key for key in json.loads(answer.data)["keys"]}

    def _answer(self, request: requests.PreparedRequest, path: str) -> tuple[int, Any]:
        if path != "/token":
            return super()._answer(request, path)
        assert isinstance(request.body, bytes)
        form = parse_qs(request.body.decode())
        assertion = form["client_assertion"][0]
        kid = jwt.get_unverified_header(assertion)["kid"]
        if kid not in self.kept and self.refetches:
            self.fetch()
        if kid not in self.kept:
            return 400, {"error": "Signature verification failed"}
        key = jwt.PyJWK(self.kept[kid]).key
        jwt.decode(assertion, key, algorithms=["RS256"], audience=f"{self.issuer}/token")
        return 200, {"access_token": uuid.uuid4().hex, "expires_in": 3600, "scope": form["scope"][0]}


@pytest.fixture(params=[True, False], ids=["refetching", "caching"])
def school(
    request: pytest.FixtureRequest, sqlite_url: str, tmp_path: Path
) -> Iterator[tuple[Flask, VerifyingPlatform]]:
    platform = VerifyingPlatform(request.param)
    app = create_app(settings_for(tmp_path, sqlite_url), http=PlatformHttp(adapter=platform))
    platform.tool = app
    platform.fetch()
    yield app, platform
    with app.app_context():
        db.session.remove()
        db.engine.dispose()


def gets_token(app: Flask) -> bool:
    """Whether the platform gives a token now (past every cache)."""
    with app.app_context():
        registration = find_by_name("lms.test")
        assert registration is not None
        access = service_access(registration)
        platform_services().tokens.forget(access, [SCOPE_SCORE])
        try:
            return bool(platform_services().tokens.token(access, [SCOPE_SCORE]))
        except PlatformRejected as error:
            return error.code != "signature-refused"


def published(app: Flask) -> list[str]:
    answer = app.test_client().get("/lti/jwks.json", base_url=BASE)
    return [jwk["kid"] for jwk in json.loads(answer.data)["keys"]]


def signer(app: Flask) -> str:
    with app.app_context():
        return signing_key().kid


def states(app: Flask) -> dict[str, str]:
    return dict(line.split("\t") for line in run(app, "keys", "list").splitlines())


def test_a_new_key_is_shown_at_once_signs_a_day_later_and_replaces_the_old_one_in_a_week(
    app: Flask, clock: Traveller
) -> None:
    (old,) = published(app)
    new = run(app, "keys", "rotate").split()[1].rstrip(",")
    assert published(app) == [new, old]
    assert signer(app) == old
    assert states(app) == {new: "published, signs from 2026-11-24 19:00 UTC", old: "signs"}
    clock.shift(timedelta(hours=24))
    assert signer(app) == new
    assert states(app) == {new: "signs", old: "published until 2026-12-01 19:00 UTC"}
    clock.shift(timedelta(days=7, seconds=-1))
    assert published(app) == [new, old]
    clock.shift(timedelta(seconds=1))
    assert published(app) == [new]
    assert states(app)[old] == "not published any more"


def test_a_rotation_can_sign_at_once_and_times_are_checked(app: Flask) -> None:
    (old,) = published(app)
    run(app, "keys", "rotate", "--sign-after", "0")
    new, still = published(app)
    assert (still, signer(app)) == (old, new)
    for wrong in ("soon", "24", "-1h", "99999d"):
        assert "is no time" in run(app, "keys", "rotate", "--sign-after", wrong, exit_code=2)


def test_only_one_key_waits_at_a_time_and_the_one_that_signs_is_not_retired(app: Flask) -> None:
    (old,) = published(app)
    run(app, "keys", "rotate")
    assert "already waits" in run(app, "keys", "rotate", exit_code=1)
    assert "rotate first" in run(app, "keys", "retire", old, exit_code=1)
    assert "no such" in run(app, "keys", "retire", "k-unknown", exit_code=1)
    waiting = published(app)[0]
    run(app, "keys", "retire", waiting)
    assert published(app) == [old]
    assert "no such" in run(app, "keys", "revoke", waiting, exit_code=1)


def test_a_platform_that_keeps_the_old_set_verifies_us_during_the_whole_overlap(
    school: tuple[Flask, VerifyingPlatform], clock: Traveller
) -> None:
    app, platform = school
    assert gets_token(app)
    run(app, "keys", "rotate", "--sign-after", "24h")
    clock.shift(timedelta(hours=23))
    assert gets_token(app), "the old key still signs"
    platform.fetch()  # as every platform does within a day
    clock.shift(timedelta(hours=2))
    assert gets_token(app), "the new key signs, and was fetched in time"


def test_after_a_revocation_a_platform_that_refetches_goes_on_and_no_old_token_is_used(
    school: tuple[Flask, VerifyingPlatform],
) -> None:
    app, platform = school
    assert gets_token(app)
    old = signer(app)
    assert old in run(app, "keys", "revoke", old)
    assert old not in published(app)
    assert signer(app) != old
    tokens_before = sum(path == "/token" for _, path in platform.requests)
    assert gets_token(app) is platform.refetches
    assert sum(path == "/token" for _, path in platform.requests) == tokens_before + 1, "no cached token"
    platform.fetch()
    assert gets_token(app)


def test_a_revoked_key_s_secret_is_gone_and_another_key_s_revocation_changes_no_signer(app: Flask) -> None:
    (old,) = published(app)
    run(app, "keys", "rotate", "--sign-after", "0")
    new = signer(app)
    assert "signs from now on" not in run(app, "keys", "revoke", old)
    assert (published(app), signer(app)) == ([new], new)
    with app.app_context():
        secrets = {row.kid: row.private_key_encrypted for row in db.session.query(ToolKey)}
    assert secrets[old] == b""
    assert secrets[new]


def test_the_key_set_may_be_kept_for_minutes_only(lite_app: Flask) -> None:
    answer = lite_app.test_client().get("/lti/jwks.json", base_url=BASE)
    assert answer.headers["Cache-Control"] == "public, max-age=300"
    assert all(set(key) >= {"kid", "alg", "use", "n", "e"} and "d" not in key for key in answer.json["keys"])
