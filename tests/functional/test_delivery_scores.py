"""Scores reach the gradebook as the last thing that was wanted, whatever happens on the way."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import time_machine
from time_machine import Traveller

from integrations.terms import GradingProgress, Outcome
from lti_app.delivery.turns import LEASE_SECONDS
from lti_app.gradebook.models import ScoreState
from tests.fake_ags import Desk, answer, running_desk

START = datetime(2026, 11, 23, 19, 0, tzinfo=UTC)


@pytest.fixture
def clock() -> Iterator[Traveller]:
    with time_machine.travel(START, tick=False) as travelling:
        yield travelling


@pytest.fixture
def desk(database_url: str, tmp_path: Path, clock: Traveller) -> Iterator[Desk]:
    with running_desk(Desk, tmp_path, database_url) as running:
        yield running


def test_many_changes_become_one_post_with_the_last_value(desk: Desk) -> None:
    school = desk.school()
    column = desk.column(school)
    for given in (10_00, 40_00, 85_50):
        score = desk.want(column, given=given)
    desk.drain()
    assert [post["scoreGiven"] for post in school.posts] == [85.5]
    assert school.posts[0]["scoreMaximum"] == 100
    row = desk.score(score)
    assert (row.state, row.sent_revision, row.sent_given) == (ScoreState.SENT, 3, 85_50)


def test_the_same_value_again_is_not_sent_again(desk: Desk, clock: Traveller) -> None:
    school = desk.school()
    column = desk.column(school)
    score = desk.want(column, given=70_00)
    desk.drain()
    clock.shift(60)
    desk.want(column, given=70_00)
    assert desk.drain() == 0
    assert len(school.posts) == 1
    row = desk.score(score)
    assert row.revision == 1
    assert row.submitted_at == START


def test_a_change_during_sending_is_sent_after_it(desk: Desk) -> None:
    school = desk.school()
    column = desk.column(school)
    score = desk.want(column, given=50_00)
    school.after = lambda: desk.want(column, given=90_00) and None
    desk.pass_once()
    desk.drain()
    assert [post["scoreGiven"] for post in school.posts] == [50, 90]
    row = desk.score(score)
    assert (row.state, row.sent_revision, row.sent_given) == (ScoreState.SENT, 2, 90_00)


def test_a_worker_that_dies_after_sending_repeats_the_same_value(desk: Desk, clock: Traveller) -> None:
    school = desk.school()
    column = desk.column(school)
    score = desk.want(column, given=60_00)
    with desk.mortal() as die:
        school.after = die
        desk.pass_once()
    assert len(school.posts) == 1
    assert desk.score(score).state is ScoreState.WAITING
    assert desk.drain() == 0, "the dead worker's lease still keeps others out"
    clock.shift(LEASE_SECONDS + 1)
    desk.drain()
    assert [post["scoreGiven"] for post in school.posts] == [60, 60]
    assert desk.score(score).state is ScoreState.SENT


def test_a_worker_that_lost_its_lease_cannot_leave_an_old_value(desk: Desk, clock: Traveller) -> None:
    school = desk.school()
    column = desk.column(school)
    score = desk.want(column, given=20_00)

    def overtake(_: object) -> None:
        clock.shift(LEASE_SECONDS + 1)
        desk.want(column, given=80_00)
        desk.drain()

    # The old value is on its way while its worker's lease runs out and another one sends the new value.
    school.faults = [overtake]
    desk.pass_once()
    desk.drain()
    assert school.grades == {(school.column_url("c1"), "u1"): 80}
    assert desk.score(score).state is ScoreState.SENT


def test_more_than_a_batch_is_sent_in_one_go(desk: Desk) -> None:
    school = desk.school()
    column = desk.column(school)
    for number in range(120):
        desk.want(column, f"u{number}", given=number * 10)
    assert desk.drain() == 120
    assert {user: given for (_, user), given in school.grades.items()} == {
        f"u{number}": number / 10 for number in range(120)
    }
    assert sum(path == "/token" for _, path in school.calls) == 1


def test_what_would_erase_a_grade_is_not_sent(desk: Desk) -> None:
    school = desk.school(kind="moodle")
    column = desk.column(school)
    score = desk.want(column, given=30_00, grading=GradingProgress.PENDING)
    desk.drain()
    assert school.posts == []
    row = desk.score(score)
    assert (row.state, row.due_at) == (ScoreState.WAITING, None)
    desk.want(column, given=95_00)
    desk.drain()
    assert [post["gradingProgress"] for post in school.posts] == ["FullyGraded"]


@pytest.mark.parametrize("ahead", [1.5, 20.0, 200.0])
def test_a_platform_whose_clock_is_ahead_gets_a_later_time_at_once(desk: Desk, ahead: float) -> None:
    school = desk.school(kind="moodle")
    column = desk.column(school)
    school.times[school.column_url("c1"), "u1"] = START + timedelta(seconds=ahead)
    score = desk.want(column, given=40_00)
    desk.drain()
    assert desk.score(score).state is ScoreState.SENT
    assert school.grades[school.column_url("c1"), "u1"] == 40
    assert len(school.posts) <= 4


def test_a_platform_that_refuses_every_time_gets_a_rest(desk: Desk) -> None:
    school = desk.school()
    column = desk.column(school)
    school.times[school.column_url("c1"), "u1"] = START + timedelta(days=3)
    score = desk.want(column)
    desk.drain()
    row = desk.score(score)
    assert (row.state, row.outcome) == (ScoreState.WAITING, Outcome.FRESH_TIMESTAMP)
    assert len(school.posts) == 4
    assert row.due_at is not None
    assert row.due_at >= START + timedelta(minutes=1)


def test_an_expired_token_is_replaced_once(desk: Desk) -> None:
    school = desk.school()
    column = desk.column(school)
    desk.want(column, "u1")
    desk.drain()
    school.tokens.clear()
    desk.want(column, "u2")
    desk.drain()
    assert len(school.grades) == 2
    assert sum(path == "/token" for _, path in school.calls) == 2


def test_what_a_whole_column_waits_for_is_asked_once_and_passes_for_all(desk: Desk) -> None:
    school = desk.school(kind="canvas")
    column = desk.column(school)
    scores = [desk.want(column, f"u{number}") for number in range(3)]
    unpublished = {"errors": {"message": "This assignment is still unpublished"}}
    school.always = answer(422, unpublished)
    desk.drain()
    assert sum(path.endswith("/scores") for _, path in school.calls) <= 2, "no more than were in flight"
    assert {desk.score(score).outcome for score in scores} == {Outcome.WAITING_FOR_PUBLISH}
    school.always = None
    desk.retry(scores[1])
    desk.drain()
    assert {desk.score(score).state for score in scores} == {ScoreState.SENT}
    assert len(school.grades) == 3


def test_disabled_platforms_are_not_served_until_they_are_enabled(desk: Desk) -> None:
    school = desk.school()
    column = desk.column(school)
    desk.want(column)
    desk.operator("platforms", "disable", school.host)
    assert desk.drain() == 0
    assert school.calls == []
    desk.operator("platforms", "enable", school.host)
    desk.drain()
    assert len(school.posts) == 1


def test_somebody_without_a_gradable_role_is_held_until_the_teacher_tries_again(
    desk: Desk, clock: Traveller
) -> None:
    school = desk.school(kind="canvas")
    column = desk.column(school)
    refusal = answer(422, {"errors": {"message": "User not found in course or is not a student"}})
    school.always = lambda request: refusal(request) if b'"left"' in (request.body or b"") else None  # type: ignore[operator]
    held, fine = desk.want(column, "left"), desk.want(column, "here")
    desk.drain()
    school.always = None
    assert desk.score(fine).state is ScoreState.SENT
    row = desk.score(held)
    assert (row.state, row.outcome, row.attempts) == (ScoreState.HELD, Outcome.NOT_GRADABLE, 1)
    clock.shift(3600)
    assert desk.drain() == 0
    desk.retry(held)
    desk.drain()
    assert desk.score(held).state is ScoreState.SENT


def test_what_people_repair_in_the_lms_is_tried_daily(desk: Desk, clock: Traveller) -> None:
    school = desk.school(kind="moodle")
    column = desk.column(school)
    school.always = answer(400, b"[]")
    score = desk.want(column)
    times = []
    desk.drain()
    for _ in range(30):
        due = desk.next_due()
        assert due is not None
        times.append(due)
        clock.move_to(due)
        desk.drain()
    assert all(later - earlier >= timedelta(days=1) for earlier, later in zip(times, times[1:], strict=False))
    assert desk.score(score).state is ScoreState.HELD
    desk.want(column, given=1_00)
    school.always = None
    desk.drain()
    assert desk.score(score).state is ScoreState.SENT, "a new value gets a new chance"
