"""What people see of delivery: the teacher's "try again", the learner's cell, the operator's figures."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import time_machine
from flask import Flask
from sqlalchemy import select
from time_machine import Traveller

from integrations.terms import ActivityProgress, GradingProgress, Outcome
from lti_app.assets import icon
from lti_app.clock import utc_now
from lti_app.delivery.worker import drain
from lti_app.extensions import db, start_as_reader
from lti_app.gradebook import queries
from lti_app.gradebook.delivery.work import deliver
from lti_app.gradebook.models import ScoreState
from lti_app.gradebook.outcomes import NOT_YET, OUTCOMES, QUEUED
from lti_app.gradebook.policy import STEPS
from lti_app.gradebook.services import column_for, set_score
from lti_app.registrations.models import Registration
from lti_app.roster.models import LtiUser, ResourceLink
from tests.browsing import Visitor
from tests.conftest import run
from tests.fake_platform import FakePlatform

NOT_A_STUDENT = (400, {"error": "not a gradable person"})


def give_score(app: Flask, link: str, sub: str, given: int = 88_00) -> int:
    """A result of `sub` in a link that was launched before; returns the score's id."""
    start_as_reader(False)
    with app.app_context():
        row = db.session.scalars(select(ResourceLink).where(ResourceLink.resource_link_id == link)).one()
        registration = db.session.scalars(select(Registration)).one()
        column = column_for(row, registration=registration, resource_id="demo", label="微课")
        user = db.session.scalars(select(LtiUser).where(LtiUser.sub == sub)).one()
        assert column is not None
        score = set_score(
            column,
            user.id,
            given=given,
            submitted_at=utc_now(),
            activity_progress=ActivityProgress.COMPLETED,
            grading_progress=GradingProgress.FULLY_GRADED,
        )
        db.session.commit()
        return score.id


@pytest.fixture
def held(app: Flask, visit: Visitor, platform: FakePlatform) -> int:
    """A parent's score that the platform refused."""
    visit("parent")
    score = give_score(app, "link-demo-class-1", "u-parent")
    platform.requests.clear()
    platform.faults = [lambda _: (200, {"access_token": "t", "expires_in": 3600}), lambda _: NOT_A_STUDENT]
    drain(app, [deliver])
    return score


def state_of(app: Flask, score: int) -> queries.ScoreRow:
    start_as_reader(False)
    with app.app_context():
        found = [
            row
            for link in db.session.scalars(select(ResourceLink))
            for row in queries.scores_of_people(
                link.id, list(db.session.scalars(select(LtiUser.id)))
            ).values()
        ]
        db.session.rollback()
    return next(row for row in found if row.id == score)


def test_the_teacher_tries_again(app: Flask, visit: Visitor, platform: FakePlatform, held: int) -> None:
    assert state_of(app, held).state is ScoreState.HELD
    page = visit("teacher").post(f"/scores/{held}/retry", follow_redirects=False)
    assert page.status == 303
    assert page.response.location.endswith("/class")
    drain(app, [deliver])
    assert state_of(app, held).state is ScoreState.SENT
    assert [score["scoreGiven"] for score in platform.scores] == [88]
    again = visit("teacher").post(f"/scores/{held}/retry", follow_redirects=False)
    assert again.status == 303
    assert drain(app, [deliver]) == 0, "what arrived is not sent again"


def test_others_cannot_try_again(app: Flask, visit: Visitor, held: int) -> None:
    assert visit("observer").post(f"/scores/{held}/retry").status == 403
    assert visit("teacher", "demo/class-2").post(f"/scores/{held}/retry").status == 404
    assert visit("teacher").post("/scores/999999/retry").status == 404
    assert (
        visit("teacher").post(f"/scores/{held}/retry", headers={"Sec-Fetch-Site": "cross-site"}).status == 403
    )
    assert state_of(app, held).state is ScoreState.HELD


@pytest.fixture
def clock() -> Iterator[Traveller]:
    with time_machine.travel(datetime(2026, 11, 23, 19, 0, tzinfo=UTC), tick=False) as travelling:
        yield travelling


def test_the_operator_sees_what_is_unsent(
    clock: Traveller, app: Flask, visit: Visitor, platform: FakePlatform
) -> None:
    assert f"{platform.host} (active): 0 unsent, 0 held" in run(app, "gradebook", "status")
    visit("parent")
    give_score(app, "link-demo-class-1", "u-parent")
    clock.shift(90)
    assert "1 unsent, 0 held, oldest 90 s" in run(app, "gradebook", "status")
    platform.faults = [lambda _: (503, {})]
    run(app, "gradebook", "deliver", "--once")
    status = run(app, "gradebook", "status")
    assert "retry: 1" in status
    assert "after 1 failures (token-endpoint-busy)" in status
    clock.shift(60)
    assert "handled: 1" in run(app, "gradebook", "deliver", "--once")
    assert "0 unsent, 0 held, last success 2026-11-23 19:02:30 UTC" in run(app, "gradebook", "status")


def test_every_outcome_has_a_step_and_words_with_an_icon(app: Flask) -> None:
    assert set(STEPS) == set(OUTCOMES) == set(Outcome)
    with app.test_request_context():
        for told in (*OUTCOMES.values(), QUEUED, NOT_YET):
            assert icon(told.icon)
            assert all(str(text).strip() for text in (told.word, told.sentence, told.next_step))
