"""What the gradebook shows is read back, and each difference is settled with whoever made it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
import time_machine
from sqlalchemy import select
from time_machine import Traveller

from integrations.terms import CourseRole, Outcome
from lti_app.clock import utc_now
from lti_app.delivery.turns import LEASE_SECONDS
from lti_app.delivery.worker import drain, run_once
from lti_app.extensions import db
from lti_app.gradebook.columns.care import look_after, request_reading
from lti_app.gradebook.delivery.work import deliver
from lti_app.gradebook.models import Difference, Keeps, LineItem, ReadingState, Score, ScoreState, Sends
from lti_app.gradebook.wishes import set_policy
from lti_app.roster.models import LtiUser, Membership, MembershipStatus
from tests.fake_ags import READING, SCOPES, Desk, School, answer, running_desk

START = datetime(2026, 11, 23, 19, 0, tzinfo=UTC)
SENT, WAITING, HELD = ScoreState.SENT, ScoreState.WAITING, ScoreState.HELD


class Reader(Desk):
    """A desk whose columns are read on request."""

    def read(self, column: int | None) -> LineItem:
        """Ask for a reading and let a worker do it; returns the column's row after it."""
        assert column is not None
        with self.work():
            assert request_reading([column], utc_now()) == 1
        drain(self.app, [look_after])
        return self.line_item(column)

    def change(self, column: int | None, **values: object) -> None:
        with self.work():
            row = db.session.get_one(LineItem, column)
            for name, value in values.items():
                setattr(row, name, value)

    def cells(self) -> dict[str, tuple[str, str | None, str | None]]:
        """State, outcome and difference of everybody."""
        with self.work():
            rows = db.session.execute(
                select(LtiUser.sub, Score.state, Score.outcome, Score.difference).join(
                    Score, Score.lti_user_pk == LtiUser.id
                )
            )
            return {sub: (state, outcome, difference) for sub, state, outcome, difference in rows}


@pytest.fixture
def clock() -> Iterator[Traveller]:
    with time_machine.travel(START, tick=False) as travelling:
        yield travelling


@pytest.fixture
def desk(database_url: str, tmp_path: Path, clock: Traveller) -> Iterator[Reader]:
    with running_desk(Reader, tmp_path, database_url, works=(deliver,), scopes=(*SCOPES, READING)) as running:
        yield running


@pytest.fixture
def sent(desk: Reader, clock: Traveller) -> Callable[..., tuple[School, int]]:
    """A column in which these people's grades were accepted an hour ago."""

    def prepare(kind: str = "moodle", **given: int) -> tuple[School, int]:
        school = desk.school(kind=kind)
        column = desk.column(school)
        assert column is not None
        for sub, value in (given or {"u1": 85_00, "u2": 40_00}).items():
            desk.want(column, sub, value)
        desk.drain()
        clock.shift(3600)
        return school, column

    return prepare


def test_a_gradebook_that_shows_what_was_sent(desk: Reader, sent: Callable[..., tuple[School, int]]) -> None:
    school, column = sent()
    read = desk.read(column)
    assert desk.cells() == {"u1": (SENT, Outcome.SENT, None), "u2": (SENT, Outcome.SENT, None)}
    assert (read.reading, read.reading_error, read.maximum) == (ReadingState.DONE, None, 100_00)
    assert read.read_at == utc_now()
    assert read.due_at is not None
    assert timedelta(hours=21) < read.due_at - utc_now() < timedelta(hours=27)
    assert desk.drain() == 0
    assert len(school.posts) == 2


def test_a_teachers_grade_is_respected_and_shown(
    desk: Reader, sent: Callable[..., tuple[School, int]]
) -> None:
    school, column = sent()
    school.teacher_sets("u1", 91.5)
    desk.read(column)
    assert desk.cells() == {
        "u1": (HELD, Outcome.OVERRIDDEN, Difference.CHANGED),
        "u2": (SENT, Outcome.SENT, None),
    }
    with desk.work():
        seen = db.session.scalars(select(Score).where(Score.difference.is_not(None))).one()
        assert (seen.seen_given, seen.seen_maximum, seen.due_at) == (91_50, 100_00, None)
    assert desk.drain() == 0


def test_a_teacher_who_takes_the_change_back_gets_our_last_value(
    desk: Reader, sent: Callable[..., tuple[School, int]], clock: Traveller
) -> None:
    school, column = sent()
    school.teacher_sets("u1", 20)
    desk.read(column)
    desk.want(column, "u1", 97_00)
    assert desk.drain() == 0, "a new result does not fight the teacher"
    school.teacher_frees("u1")
    clock.shift(120)
    desk.read(column)
    desk.drain()
    assert school.grades[school.column_url("c1"), "u1"] == 97
    assert desk.cells()["u1"] == (SENT, Outcome.SENT, None)


def test_a_cleared_grade_is_a_teachers_decision(
    desk: Reader, sent: Callable[..., tuple[School, int]], clock: Traveller
) -> None:
    school, column = sent()
    school.teacher_sets("u1", None)
    desk.read(column)
    assert desk.cells()["u1"] == (HELD, Outcome.OVERRIDDEN, Difference.CLEARED)
    assert desk.cells()["u2"] == (SENT, Outcome.SENT, None)
    school.teacher_sets("u2", None)
    clock.shift(120)
    desk.read(column)
    assert desk.cells()["u2"] == (HELD, Outcome.OVERRIDDEN, Difference.CLEARED), "it was there before"
    assert desk.drain() == 0


def test_who_left_the_class_is_not_gradable_and_is_sent_again_on_return(
    desk: Reader, sent: Callable[..., tuple[School, int]], clock: Traveller
) -> None:
    school, column = sent()

    def is_now(status: MembershipStatus) -> None:
        with desk.work():
            user = db.session.scalars(select(LtiUser).where(LtiUser.sub == "u1")).one()
            row = db.session.scalar(select(Membership).where(Membership.lti_user_pk == user.id))
            if row is None:
                context = db.session.get_one(LineItem, column).context_pk
                row = Membership(context_pk=context, lti_user_pk=user.id, role=CourseRole.LEARNER)
                db.session.add(row)
            row.status = status

    del school.grades[school.column_url("c1"), "u1"]
    is_now(MembershipStatus.INACTIVE)
    desk.read(column)
    assert desk.cells()["u1"] == (HELD, Outcome.NOT_GRADABLE, None)
    assert desk.drain() == 0
    is_now(MembershipStatus.ACTIVE)
    clock.shift(120)
    desk.read(column)
    desk.drain()
    assert school.grades[school.column_url("c1"), "u1"] == 85


def test_a_column_that_shows_nobody_swallows_grades_until_it_shows_one(
    desk: Reader, sent: Callable[..., tuple[School, int]], clock: Traveller
) -> None:
    school = desk.school(kind="moodle")
    column = desk.column(school)
    school.swallowing.add(school.column_url("c1"))
    for sub in ("u1", "u2", "u3"):
        desk.want(column, sub, 85_00)
    desk.drain()
    clock.shift(3600)
    swallowed = (HELD, Outcome.SWALLOWED, Difference.SWALLOWED)
    read = desk.read(column)
    assert set(desk.cells().values()) == {swallowed}
    assert read.due_at is not None
    clock.move_to(read.due_at)
    assert desk.drain() == 1, "one is sent again, the others are left alone"
    drain(desk.app, [look_after])
    assert set(desk.cells().values()) == {swallowed}
    school.swallowing.clear()
    read = desk.line_item(column)
    assert read.due_at is not None
    clock.move_to(read.due_at)
    drain(desk.app, [deliver, look_after])
    assert set(school.grades.values()) == {85}
    assert len(school.grades) == 3
    clock.shift(3600)
    desk.read(column)
    assert set(desk.cells().values()) == {(SENT, Outcome.SENT, None)}


def test_one_grade_that_does_not_show_at_once_is_looked_for_again(desk: Reader, clock: Traveller) -> None:
    school = desk.school(kind="moodle")
    column = desk.column(school)
    school.swallowing.add(school.column_url("c1"))
    desk.want(column, "u1", 85_00)
    desk.drain()
    read = desk.read(column)
    assert desk.cells()["u1"] == (SENT, Outcome.SENT, None)
    assert read.due_at == utc_now() + timedelta(minutes=10)
    clock.move_to(read.due_at)
    drain(desk.app, [look_after])
    assert desk.cells()["u1"] == (HELD, Outcome.SWALLOWED, Difference.SWALLOWED)


def test_a_first_not_found_is_not_the_last_word(desk: Reader, clock: Traveller) -> None:
    school = desk.school()
    desk.want(desk.column(school))
    school.faults = [answer(404)]
    drain(desk.app, [deliver])
    assert desk.cells() == {"u1": (HELD, Outcome.COLUMN_GONE, None)}
    clock.shift(timedelta(days=1, minutes=1))
    drain(desk.app, [look_after, deliver])
    assert desk.cells() == {"u1": (SENT, Outcome.SENT, None)}


@pytest.mark.parametrize("hours", [-8, 8])
def test_a_platform_with_another_clock_is_judged_by_its_own(
    desk: Reader, clock: Traveller, hours: int
) -> None:
    school = desk.school()
    school.clock_ahead = hours * 3600.0
    column = desk.column(school)
    desk.want(column)
    drain(desk.app, [deliver])
    school.grades.clear()
    clock.shift(60)
    assert desk.read(column).due_at == utc_now() + timedelta(minutes=10)
    clock.shift(660)
    desk.read(column)
    assert desk.cells() == {"u1": (HELD, Outcome.SWALLOWED, Difference.SWALLOWED)}


def test_a_deleted_column_holds_everybody_and_a_restored_one_gets_everything(
    desk: Reader, sent: Callable[..., tuple[School, int]], clock: Traveller
) -> None:
    school, column = sent()
    school.deleted.add(school.column_url("c1"))
    read = desk.read(column)
    assert set(desk.cells().values()) == {(HELD, Outcome.COLUMN_GONE, None)}
    assert (read.reading, read.reading_error) == (ReadingState.FAILED, "not-found")
    assert desk.drain() == 0
    school.deleted.clear()
    school.grades.clear()
    clock.shift(3600)
    desk.read(column)
    desk.drain()
    assert set(school.grades.values()) == {85, 40}
    assert set(desk.cells().values()) == {(SENT, Outcome.SENT, None)}


@pytest.mark.parametrize("kind", ["moodle", "canvas", "generic"])
def test_a_new_maximum_that_kept_the_points_is_put_right_once(
    desk: Reader, sent: Callable[..., tuple[School, int]], clock: Traveller, kind: str
) -> None:
    school, column = sent(kind)
    desk.read(column)
    school.rescale(200)
    clock.shift(3600)
    desk.read(column)
    assert desk.drain() == 2
    assert school.grades[school.column_url("c1"), "u1"] == 170
    posts = len(school.posts)
    for _ in range(2):
        clock.shift(3600)
        desk.read(column)
        assert desk.drain() == 0
    assert len(school.posts) == posts
    assert desk.cells()["u1"] == (SENT, Outcome.SENT, None)
    assert desk.line_item(column).maximum == 200_00


def test_work_handed_in_late_may_cost_something(
    desk: Reader, sent: Callable[..., tuple[School, int]]
) -> None:
    school, column = sent("canvas", u1=80_00)
    desk.change(column, ends_at=START - timedelta(days=1))
    school.grades[school.column_url("c1"), "u1"] = 72
    desk.read(column)
    assert desk.cells()["u1"] == (SENT, Outcome.SENT, Difference.LATE)
    desk.want(column, "u1", 95_00)
    desk.drain()
    assert school.grades[school.column_url("c1"), "u1"] == 95


def test_a_column_that_keeps_the_best_keeps_a_better_grade_that_was_there_first(
    desk: Reader, clock: Traveller
) -> None:
    school = desk.school()
    column = desk.column(school)
    assert column is not None
    school.teacher_sets("u1", 90)
    school.teacher_sets("u2", 50)
    desk.change(column, keeps=Keeps.BEST)
    desk.want(column, "u1", 85_00)
    desk.want(column, "u2", 85_00)
    desk.read(column)
    desk.drain()
    assert desk.cells()["u1"] == (HELD, Outcome.OVERRIDDEN, Difference.CHANGED)
    assert {points for points in school.grades.values()} == {90, 85}
    school.teacher_sets("u1", 70)
    clock.shift(120)
    desk.read(column)
    desk.drain()
    assert school.grades[school.column_url("c1"), "u1"] == 85, "theirs is not the better one any more"


@pytest.mark.parametrize("policy", [{"paused": True}, {"sends": Sends.ON_RELEASE}])
def test_what_a_teacher_keeps_back_is_not_sent_by_a_reading(
    desk: Reader, sent: Callable[..., tuple[School, int]], clock: Traveller, policy: dict[str, Any]
) -> None:
    school, column = sent(u1=85_00)
    school.teacher_sets("u1", 20)
    desk.read(column)
    desk.want(column, "u1", 97_00)
    with desk.work():
        row = db.session.get_one(LineItem, column)
        wanted = {"keeps": row.keeps, "sends": row.sends, "paused": row.paused} | policy
        set_policy(row, **wanted)
    school.teacher_frees("u1")
    clock.shift(120)
    desk.read(column)
    assert desk.drain() == 0
    assert desk.cells()["u1"] == (WAITING, None, None)
    with desk.work():
        set_policy(
            db.session.get_one(LineItem, column), keeps=Keeps.LATEST, sends=Sends.AT_ONCE, paused=False
        )
    desk.drain()
    assert school.grades[school.column_url("c1"), "u1"] == 97


def test_a_change_during_the_reading_is_left_alone(
    desk: Reader, sent: Callable[..., tuple[School, int]]
) -> None:
    school, column = sent()
    school.teacher_sets("u1", 60)

    def meanwhile(_: requests.PreparedRequest) -> None:
        desk.want(column, "u1", 99_00)

    school.faults = [meanwhile]
    desk.read(column)
    assert desk.cells()["u1"][0] is WAITING
    desk.drain()
    assert desk.cells()["u1"][0] is SENT


def test_a_worker_that_lost_its_lease_settles_nobody(
    desk: Reader, sent: Callable[..., tuple[School, int]], clock: Traveller
) -> None:
    school, column = sent()
    school.teacher_sets("u1", 60)

    def overtake(request: requests.PreparedRequest) -> Any:
        if not (request.url or "").endswith("/results"):
            return None
        school.always = None
        old = school.serve("GET", request.url or "", None, request.headers)
        # While this answer is on its way, the teacher takes the change back and another worker reads.
        school.teacher_frees("u1")
        clock.shift(LEASE_SECONDS + 600)
        drain(desk.app, [look_after])
        return old

    school.always = overtake
    desk.read(column)
    assert desk.cells()["u1"] == (SENT, Outcome.SENT, None)


def test_a_column_that_moves_during_the_reading_is_not_settled_by_the_old_one(
    desk: Reader, sent: Callable[..., tuple[School, int]]
) -> None:
    school, column = sent()
    school.teacher_sets("u1", 60)

    def move(request: requests.PreparedRequest) -> Any:
        if (request.url or "").endswith("/results"):
            school.always = None
            desk.move(school, "c1", school.column_url("other"))

    school.always = move
    desk.read(column)
    assert {state for state, *_ in desk.cells().values()} == {WAITING}
    desk.drain()
    assert school.grades[school.column_url("other"), "u1"] == 85


@pytest.mark.parametrize("status", [500, 429])
def test_a_reading_that_breaks_off_clears_nobody_and_is_tried_again(
    desk: Reader, sent: Callable[..., tuple[School, int]], clock: Traveller, status: int
) -> None:
    school, column = sent("generic", **{f"u{number}": 50_00 for number in range(9)})
    school.page_size = 4
    school.grades.pop((school.column_url("c1"), "u8"))
    last = answer(status, {"no": "more"})

    def later(request: requests.PreparedRequest) -> object:
        return last(request) if "page=1" in (request.url or "") else None

    school.always = later  # type: ignore[assignment]
    read = desk.read(column)
    assert (read.reading, read.reading_error, read.attempts) == (ReadingState.FAILED, "platform-busy", 1)
    assert set(desk.cells().values()) == {(SENT, Outcome.SENT, None)}
    school.always = None
    assert read.due_at is not None
    clock.move_to(max(read.due_at, utc_now() + timedelta(minutes=20)))
    drain(desk.app, [look_after])
    assert desk.cells()["u8"] == (HELD, Outcome.OVERRIDDEN, Difference.CLEARED)
    assert desk.line_item(column).attempts == 0


def test_a_worker_that_dies_reading_settles_nobody_and_another_begins_anew(
    desk: Reader, sent: Callable[..., tuple[School, int]], clock: Traveller
) -> None:
    school, column = sent("moodle", u1=85_00, u2=40_00, u3=10_00)
    school.teacher_sets("u1", 99)
    school.teacher_sets("u3", None)
    with desk.work():
        request_reading([column], utc_now())
    with desk.mortal() as die:
        calls = iter([None, die])

        def fatal(_: requests.PreparedRequest) -> None:
            act = next(calls)
            if act is not None:
                act()

        school.always = fatal
        run_once(desk.app, [look_after])
    school.always = None
    assert set(desk.cells().values()) == {(SENT, Outcome.SENT, None)}
    assert desk.line_item(column).reading is ReadingState.RUNNING
    clock.shift(max(LEASE_SECONDS, 600) + 1)
    drain(desk.app, [look_after])
    assert [state for state, *_ in desk.cells().values()].count(HELD) == 2
    assert desk.line_item(column).reading is ReadingState.DONE


def test_results_that_may_not_be_read_say_so_and_are_asked_for_weekly(
    desk: Reader, sent: Callable[..., tuple[School, int]]
) -> None:
    school, column = sent()
    refused = answer(400, {"error": "invalid_scope"})
    school.token_faults = [refused] * 3
    read = desk.read(column)
    assert (read.reading, read.reading_error) == (ReadingState.FAILED, "scope-not-granted")
    assert read.due_at == utc_now() + timedelta(days=7)
    assert set(desk.cells().values()) == {(SENT, Outcome.SENT, None)}


def test_readings_are_asked_for_once_a_minute(
    desk: Reader, sent: Callable[..., tuple[School, int]], clock: Traveller
) -> None:
    _, column = sent()
    desk.read(column)
    for seconds, asked in ((30, 0), (31, 1), (0, 0)):
        clock.shift(seconds)
        with desk.work():
            assert request_reading([column], utc_now()) == asked
    unmade = desk.column(desk.school("b.test", "open-edx"), coupled=False)
    with desk.work():
        assert unmade is not None
        assert request_reading([unmade], utc_now()) == 0


def test_a_large_column_is_read_in_pages_with_one_request_each(
    desk: Reader, sent: Callable[..., tuple[School, int]]
) -> None:
    school, column = sent("canvas", **{f"u{number}": 50_00 for number in range(230)})
    before = len(school.calls)
    desk.read(column)
    gets = [path for method, path in school.calls[before:] if path.endswith("/results")]
    assert len(gets) == 3
    assert set(desk.cells().values()) == {(SENT, Outcome.SENT, None)}
