"""What a hostile or broken platform, odd clocks and people who act at the same moment do to grades."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import time_machine
from flask import Flask
from sqlalchemy import text
from time_machine import Traveller

from integrations.answers import HttpAnswer
from integrations.http import PlatformHttp
from integrations.terms import GradingProgress, Outcome
from lti_app import create_app
from lti_app.clock import utc_now
from lti_app.connection.delivery_page import send_again
from lti_app.delivery.exchanges import clean_answer
from lti_app.delivery.models import DeliverySlot, FailedExchange
from lti_app.delivery.services import renew_slot, take_slot
from lti_app.delivery.worker import drain
from lti_app.extensions import db, start_as_reader
from lti_app.gradebook.columns.care import look_after, request_reading
from lti_app.gradebook.delivery.work import deliver
from lti_app.gradebook.locks import lock_rows
from lti_app.gradebook.models import Difference, Keeps, LineItem, ReadingState, Score, ScoreState, Sends
from lti_app.gradebook.wishes import set_policy
from tests.conftest import settings_for
from tests.fake_ags import READING, SCOPES, Desk, FakeAgs, answer, running_desk

START = datetime(2026, 11, 23, 19, 0, tzinfo=UTC)
SENT, WAITING, HELD = ScoreState.SENT, ScoreState.WAITING, ScoreState.HELD


@pytest.fixture
def clock() -> Iterator[Traveller]:
    with time_machine.travel(START, tick=False) as travelling:
        yield travelling


@pytest.fixture
def desk(database_url: str, tmp_path: Path) -> Iterator[Desk]:
    with running_desk(Desk, tmp_path, database_url, works=(deliver,), scopes=(*SCOPES, READING)) as running:
        yield running


def read(desk: Desk, column: int | None) -> LineItem:
    """Ask for a reading and let a worker do it; returns the column's row after it."""
    assert column is not None
    with desk.work():
        assert request_reading([column], utc_now()) == 1
    drain(desk.app, [look_after])
    return desk.line_item(column)


def say(desk: Desk, column: int | None, **values: object) -> None:
    """Change what a teacher wants of a column."""
    wishes = {"keeps": Keeps.LATEST, "sends": Sends.AT_ONCE, "paused": False, **values}
    with desk.work():
        set_policy(db.session.get_one(LineItem, column), **wishes)  # type: ignore[arg-type]


def state(desk: Desk, score: int) -> tuple[ScoreState, Outcome | None]:
    row = desk.score(score)
    return row.state, row.outcome


# -- answers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b'{"error": "\\ud800"}', {}),
        (b'{"error": "\\u0000"}', {}),
        (b"\x00\xff\xfe", {}),
        (b"no", {"Content-Type": "text/html\x00; \x00"}),
        (b'{"a": NaN, "b": 1e999}', {}),
        (b"[" * 60_000, {}),
    ],
)
def test_what_a_refusal_says_never_keeps_outcomes_from_being_written(
    desk: Desk, body: bytes, headers: dict[str, str]
) -> None:
    school = desk.school()
    column = desk.column(school)
    school.faults = [answer(400, body, **headers)]
    refused = desk.want(column, "u1")
    desk.drain()
    sent = desk.want(column, "u2")
    desk.drain()
    assert state(desk, refused) == (HELD, Outcome.MISCONFIGURED)
    assert state(desk, sent) == (SENT, Outcome.SENT)
    with desk.work():
        exchange = db.session.get_one(FailedExchange, desk.registration(school).id)
        assert exchange.status == 400


@pytest.mark.parametrize("part", [b"a", b"a-", b"a%", b"eyJ", b"a.", b"1-", b'"', b"Bearer "])
def test_a_long_answer_is_cleaned_in_no_time(part: bytes) -> None:
    # With time that grows with the square of the length this takes minutes.
    for body in (part * 200_000, b'{"m": "' + part.replace(b'"', b"'") * 4_000 + b'"}'):
        assert len(clean_answer(body)) <= 500


def test_of_a_large_refusal_only_the_beginning_is_kept() -> None:
    assert len(HttpAnswer(400, {}, b"x" * 4_000_000).exchange.answer) == 65_536


@pytest.mark.parametrize("wait", ["0", "Mon, 01 Jan 2024 00:00:00 GMT"])
def test_a_platform_that_fails_and_asks_to_come_back_at_once_gets_a_rest(
    desk: Desk, clock: Traveller, wait: str
) -> None:
    school = desk.school()
    column = desk.column(school)
    school.always = answer(503, b"", **{"Retry-After": wait})
    for number in range(20):
        desk.want(column, f"u{number}")
    desk.drain()
    rest = desk.slot(school).blocked_until
    assert rest is not None
    assert rest > utc_now()
    assert len([path for _, path in school.calls if path.endswith("/scores")]) <= 3


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Rate-Limit-Remaining": "-999999999"},
        {"RateLimit-Remaining": "0", "RateLimit-Reset": "999999999"},
        {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "99999999999999"},
        {"Retry-After": "315360000"},
        {"Retry-After": "Fri, 31 Dec 9999 23:59:59 GMT"},
    ],
)
def test_no_accepted_score_stops_a_school_for_long(
    desk: Desk, clock: Traveller, headers: dict[str, str]
) -> None:
    school = desk.school(kind="canvas")
    column = desk.column(school)
    school.headers = headers
    scores = [desk.want(column, f"u{number}") for number in range(3)]
    for _ in range(3):
        desk.drain()
        clock.shift(3600)
    assert {state(desk, score) for score in scores} == {(SENT, Outcome.SENT)}


# -- clocks --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "date",
    [
        "Fri, 31 Dec 9999 23:59:59 GMT",
        "Thu, 01 Jan 1970 00:00:00 GMT",
        "Mon, 01 Jan 0001 00:00:00 +2359",
        "yesterday",
        "-1",
        "",
    ],
)
@pytest.mark.parametrize("kind", ["moodle", "canvas", "open-edx", "generic"])
def test_a_date_that_is_no_clock_delays_nothing(desk: Desk, clock: Traveller, kind: str, date: str) -> None:
    school = desk.school(kind=kind)
    column = desk.column(school)
    school.headers = {"Date": date}
    for given in (50_00, 60_00, 70_00):
        score = desk.want(column, "u1", given)
        desk.drain()
        assert state(desk, score) == (SENT, Outcome.SENT)
        clock.shift(60)
    sent_at = desk.score(score).sent_at
    assert sent_at is not None
    assert abs(sent_at - utc_now()) < timedelta(days=1)


def test_a_date_far_behind_the_clock_that_a_platform_compares_with(desk: Desk, clock: Traveller) -> None:
    # A cache or a proxy in front of it writes the header.
    school = desk.school(kind="moodle")
    column = desk.column(school)
    school.headers = {"Date": (START - timedelta(hours=8)).strftime("%a, %d %b %Y %H:%M:%S GMT")}
    for given in (50_00, 60_00, 70_00):
        score = desk.want(column, "u1", given)
        desk.drain()
        clock.shift(60)
    assert state(desk, score) == (SENT, Outcome.SENT)


def test_a_rest_that_a_clock_far_ahead_wrote_does_not_last(desk: Desk, clock: Traveller) -> None:
    school = desk.school()
    column = desk.column(school)
    school.always = answer(503, b"")
    clock.move_to(START + timedelta(days=3650))
    desk.want(column, "u1")
    desk.drain()
    clock.move_to(START)
    school.always = None
    score = desk.want(column, "u2")
    desk.drain()
    assert state(desk, score) == (SENT, Outcome.SENT)


# -- columns that go and come back -----------------------------------------------------------------------


GONE = answer(404, {"errors": "no such column"})


def test_a_column_that_comes_back_with_a_teachers_grade_keeps_it(desk: Desk, clock: Traveller) -> None:
    school = desk.school()
    column = desk.column(school)
    known, unknown = desk.want(column, "u1", 80_00), desk.want(column, "u2", 80_00)
    desk.drain()
    clock.shift(3600)
    school.teacher_sets("u1", 55.0)
    read(desk, column)
    assert state(desk, known) == (HELD, Outcome.OVERRIDDEN)
    school.teacher_sets("u2", 66.0)
    clock.shift(3600)
    school.always = GONE
    read(desk, column)
    assert state(desk, unknown) == (HELD, Outcome.COLUMN_GONE)
    clock.shift(3600)
    school.always = None
    read(desk, column)
    desk.drain()
    assert [school.grades[school.column_url("c1"), who] for who in ("u1", "u2")] == [55.0, 66.0]
    assert state(desk, known) == state(desk, unknown) == (HELD, Outcome.OVERRIDDEN)
    assert desk.score(unknown).difference is Difference.CHANGED


def test_trying_a_column_again_that_was_gone_releases_nothing(desk: Desk, clock: Traveller) -> None:
    school = desk.school()
    column = desk.column(school)
    sent = desk.want(column, "u1", 80_00)
    desk.drain()
    clock.shift(3600)
    say(desk, column, sends=Sends.ON_RELEASE)
    kept = desk.want(column, "u2", 70_00)
    school.always = GONE
    read(desk, column)
    assert state(desk, sent) == (HELD, Outcome.COLUMN_GONE)
    school.always = None
    desk.retry(sent)
    desk.drain()
    assert state(desk, sent) == (SENT, Outcome.SENT)
    assert state(desk, kept) == (WAITING, None)
    assert {post["userId"] for post in school.posts} == {"u1"}


@pytest.mark.parametrize("by_page", [False, True])
def test_a_column_that_is_made_anew_gets_everybodys_grade(
    desk: Desk, clock: Traveller, by_page: bool
) -> None:
    school = desk.school(kind="open-edx")
    column = desk.column(school, coupled=False)
    first = desk.want(column, "u1", 80_00)
    desk.drain()
    school.columns.clear()
    school.faults = [GONE]
    clock.shift(60)
    second = desk.want(column, "u2", 70_00)
    desk.drain()
    assert state(desk, second) == (HELD, Outcome.COLUMN_GONE)
    if by_page:
        with desk.work():
            assert send_again(desk.registration(school).id, utc_now()) == 1
    else:
        desk.retry(second)
    desk.drain()
    assert state(desk, first) == state(desk, second) == (SENT, Outcome.SENT)
    url = desk.line_item(column).url or ""
    assert [school.grades[url, who] for who in ("u1", "u2")] == [80.0, 70.0]


def test_a_column_that_takes_somebodys_first_score_takes_those_it_refused(
    desk: Desk, clock: Traveller
) -> None:
    school = desk.school(kind="canvas")
    column = desk.column(school)
    closed = answer(422, {"errors": [{"message": "This course has concluded."}]})
    school.faults = [closed]
    early = desk.want(column, "u1")
    desk.drain()
    assert state(desk, early) == (HELD, Outcome.CONTEXT_CLOSED)
    clock.shift(3600)
    late = desk.want(column, "u2")
    desk.drain()
    assert state(desk, early) == state(desk, late) == (SENT, Outcome.SENT)


# -- the same moment -------------------------------------------------------------------------------------


@pytest.mark.postgres
def test_a_press_on_send_again_and_a_worker_do_not_wait_for_each_other(
    postgres_url: str, tmp_path: Path
) -> None:
    network = FakeAgs()
    app = create_app(settings_for(tmp_path, postgres_url), http=PlatformHttp(adapter=network))
    desk = Desk(app, network)
    school = desk.school()
    column = desk.column(school)
    school.faults = [answer(400, b"no")]
    score = desk.want(column)
    desk.drain()
    with desk.work():
        owner = desk.registration(school).id
        assert take_slot(owner, "worker", utc_now(), 90.0)
    presses: list[int | None] = []
    start_as_reader(False)
    with app.app_context():
        # A worker writes outcomes: its lease, then columns, then cells.
        assert renew_slot(owner, "worker", utc_now(), 90.0)
        press = threading.Thread(target=_press, args=(app, owner, presses))
        press.start()
        _until_somebody_waits()
        lock_rows(Score.id == score)
        db.session.commit()
        press.join(30)
        assert presses == [1]
        db.session.remove()
        db.engine.dispose()


def _press(app: Flask, owner: int, presses: list[int | None]) -> None:
    with app.app_context():
        presses.append(send_again(owner, utc_now()))
        db.session.commit()


def _until_somebody_waits() -> None:
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    # Each look is a transaction of its own: the view is frozen within one.
    with db.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        for _ in range(500):
            if connection.scalar(waiting):
                return
            time.sleep(0.02)
    raise AssertionError("nobody waits")


# -- health ----------------------------------------------------------------------------------------------


def test_a_reading_that_goes_well_ends_what_a_failed_one_began(desk: Desk, clock: Traveller) -> None:
    school = desk.school()
    column = desk.column(school)
    desk.want(column)
    desk.drain()
    clock.shift(3600)
    school.always = answer(503, b"", **{"Retry-After": "60"})
    assert read(desk, column).reading is ReadingState.FAILED
    assert desk.slot(school).failures == 1
    school.always = None
    clock.shift(3600)
    assert read(desk, column).reading is ReadingState.DONE
    slot: DeliverySlot = desk.slot(school)
    assert (slot.failures, slot.blocked_until, slot.last_error) == (0, None, None)


def test_progress_that_is_not_final_stays_here_after_a_final_grade(desk: Desk, clock: Traveller) -> None:
    school = desk.school()
    column = desk.column(school)
    score = desk.want(column, "u1", 80_00)
    desk.drain()
    clock.shift(60)
    desk.want(column, "u1", 10_00, grading=GradingProgress.PENDING)
    desk.drain()
    assert len(school.posts) == 1
    assert desk.score(score).due_at is None
