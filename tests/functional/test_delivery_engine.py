"""The engine: calls side by side within a platform's limit, turns handed out once, what is noted on the way."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
import time_machine
from sqlalchemy import select, update
from time_machine import Traveller

from integrations.terms import GradingProgress, Outcome
from lti_app.clock import utc_now
from lti_app.delivery.models import SINCE_EVER, DeliverySlot, DeliveryTally, FailedExchange
from lti_app.delivery.offers import offer
from lti_app.delivery.tallies import count, prune
from lti_app.delivery.turns import Turn, find_turns, serve_turn
from lti_app.delivery.worker import EmbeddedWorker
from lti_app.extensions import db
from lti_app.gradebook.delivery.work import deliver
from lti_app.gradebook.models import Difference, ScoreState
from lti_app.gradebook.models import Score as ScoreRow
from lti_app.roster.models import LtiUser
from tests.fake_ags import READING, SCOPES, Desk, School, answer, running_desk

START = datetime(2026, 11, 23, 19, 0, tzinfo=UTC)


@pytest.fixture
def desk(database_url: str, tmp_path: Path) -> Iterator[Desk]:
    with running_desk(Desk, tmp_path, database_url) as running:
        yield running


@pytest.fixture
def clock() -> Iterator[Traveller]:
    with time_machine.travel(START, tick=False) as travelling:
        yield travelling


def registration_id(desk: Desk, school: School) -> int:
    with desk.work():
        return desk.registration(school).id


def wait_at(barrier: threading.Barrier) -> object:
    """A fault that only keeps a call until as many are there."""

    def meet(_: requests.PreparedRequest) -> None:
        barrier.wait()

    return meet


# -- side by side ------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "limit"), [("generic", 2), ("moodle", 4)])
def test_as_many_calls_are_in_flight_as_the_platform_allows(desk: Desk, kind: str, limit: int) -> None:
    school = desk.school(kind=kind)
    column = desk.column(school)
    for number in range(3 * limit):
        desk.want(column, f"u{number}")
    # Each waits for the others: with fewer in flight nobody would go on.
    barrier = threading.Barrier(limit, timeout=20)
    school.always = wait_at(barrier)  # type: ignore[assignment]
    assert desk.drain() == 3 * limit
    assert desk.network.most_in_flight == limit
    assert len(school.grades) == 3 * limit


def test_more_than_two_batches_go_once_each(desk: Desk) -> None:
    school = desk.school(kind="moodle")
    column = desk.column(school)
    for number in range(230):
        desk.want(column, f"u{number}")
    assert desk.drain() == 230
    assert len(school.posts) == 230
    assert desk.network.most_in_flight <= 4


def test_a_platform_that_failed_is_probed_with_one_call(clock: Traveller, desk: Desk) -> None:
    school = desk.school(kind="moodle")
    column = desk.column(school)
    for number in range(12):
        desk.want(column, f"u{number}")
    school.always = answer(503)
    desk.drain()
    until = desk.slot(school).blocked_until
    assert until is not None
    clock.move_to(until)
    before = len(school.calls)
    desk.drain()
    assert len(school.calls) == before + 1, "one call told enough"
    school.always = None
    while (due := desk.next_due()) is not None:
        clock.move_to(max(due, utc_now()))
        desk.drain()
    assert len(school.grades) == 12


def test_a_worker_that_stops_finishes_what_is_in_flight(desk: Desk) -> None:
    school = desk.school()
    column = desk.column(school)
    for number in range(20):
        desk.want(column, f"u{number}")
    two, stopped = threading.Barrier(3, timeout=20), threading.Event()

    def hold(_: requests.PreparedRequest) -> None:
        if not stopped.is_set():
            two.wait()
            assert stopped.wait(20)

    school.always = hold  # type: ignore[assignment]
    worker = EmbeddedWorker(desk.app, [deliver], threads=1)
    worker.start()
    two.wait()
    with ThreadPoolExecutor(1) as pool:
        stopping = pool.submit(worker.stop, 20.0)
        while not worker._stopping.is_set():
            time.sleep(0.001)
        stopped.set()
        stopping.result(20)
    with desk.work():
        sent = db.session.scalars(select(ScoreRow.id).where(ScoreRow.state == ScoreState.SENT)).all()
    assert len(sent) == len(school.grades) == 2, "those in flight, written down; no other was begun"
    assert desk.slot(school).holder is None


# -- turns ---------------------------------------------------------------------------------------


def test_turns_in_trouble_come_last_and_nobody_comes_twice(desk: Desk) -> None:
    schools = [desk.school(f"{name}.test") for name in "abc"]
    for school in schools:
        column = desk.column(school)
        desk.want(column, "u1")
        desk.want(column, "u2")
    ids = [registration_id(desk, school) for school in schools]
    with desk.work():
        db.session.add(DeliverySlot(registration_id=ids[0], failures=1))
    found = [(turn.work, turn.registration_id) for turn in find_turns(desk.app, [deliver])]
    assert found == [("scores", ids[1]), ("scores", ids[2]), ("scores", ids[0])]


def test_a_turn_is_offered_to_one_of_many_who_ask(desk: Desk) -> None:
    ids = set()
    for name in "abcdef":
        school = desk.school(f"{name}.test")
        desk.want(desk.column(school))
        ids.add(registration_id(desk, school))
    start = threading.Barrier(6)

    def ask(_: int) -> list[tuple[str, int]]:
        start.wait()
        return offer(desk.app, [deliver])

    with ThreadPoolExecutor(6) as pool:
        offered = [one for several in pool.map(ask, range(6)) for one in several]
    assert len(offered) == 6
    assert {one for _, one in offered} == ids
    assert offer(desk.app, [deliver]) == []


def test_an_offer_that_nobody_takes_is_made_again_and_a_taken_one_is_over(
    clock: Traveller, desk: Desk
) -> None:
    school = desk.school()
    column = desk.column(school)
    desk.want(column, "u1")
    one = registration_id(desk, school)
    assert offer(desk.app, [deliver], 10.0) == [("scores", one)]
    assert serve_turn(desk.app, deliver, one, stopping=lambda: False).done == 1
    desk.want(column, "u2")
    assert offer(desk.app, [deliver], 10.0) == [("scores", one)]
    clock.shift(9)
    assert offer(desk.app, [deliver], 10.0) == []
    clock.shift(2)
    assert offer(desk.app, [deliver], 10.0) == [("scores", one)]


def test_who_had_a_turn_waits_until_the_others_had_theirs(clock: Traveller, desk: Desk) -> None:
    ids = []
    for name in "abc":
        school = desk.school(f"{name}.test")
        desk.want(desk.column(school))
        ids.append(registration_id(desk, school))
        clock.shift(1)
    order = []
    for _ in range(6):
        [(_name, one)] = offer(desk.app, [deliver], 0.5, limit=1)
        order.append(one)
        clock.shift(1)
    assert order == [*ids, *ids]


class Silent:
    """A work that every registration always needs; its turns last until they are let go."""

    name = "silent"

    def __init__(self, ids: list[int]) -> None:
        self.ids = ids
        self.served: set[int] = set()
        self.go = threading.Event()
        self.changed = threading.Condition()

    def due(self, now: datetime) -> list[int]:
        return [one for one in self.ids if one not in self.served]

    def serve(self, turn: Turn) -> int:
        with self.changed:
            self.served.add(turn.registration_id)
            self.changed.notify_all()
        assert self.go.wait(20)
        return 0

    def wait_for(self, ids: set[int]) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: ids <= self.served, 20)


def test_platforms_in_trouble_get_half_of_the_threads(desk: Desk) -> None:
    schools = [desk.school(f"s{number}.test") for number in range(8)]
    ids = [registration_id(desk, school) for school in schools]
    dead, well = ids[:6], ids[6:]
    with desk.work():
        db.session.add_all(DeliverySlot(registration_id=one, failures=3) for one in dead)
    work = Silent(dead)
    worker = EmbeddedWorker(desk.app, [work], threads=4)
    worker.start()
    try:
        with work.changed:
            assert work.changed.wait_for(lambda: len(work.served) == 2, 20)
        work.ids = ids
        worker.wake()
        work.wait_for(set(well))
        assert len(work.served & set(dead)) == 2
    finally:
        work.go.set()
        worker.stop()


# -- what is noted ---------------------------------------------------------------------------------


def tallied(desk: Desk, school: School) -> dict[str, int]:
    with desk.work():
        rows = db.session.scalars(
            select(DeliveryTally).where(
                DeliveryTally.registration_id == desk.registration(school).id,
                DeliveryTally.bucket == SINCE_EVER,
            )
        )
        return {row.outcome: row.count for row in rows}


def test_deliveries_are_counted_exactly(clock: Traveller, desk: Desk) -> None:
    school = desk.school(kind="moodle")
    column = desk.column(school)
    for number in range(130):
        desk.want(column, f"u{number}")
    school.faults = [answer(400, b"[]")] * 3
    desk.drain()
    clock.shift(timedelta(minutes=20))
    desk.want(column, "u200")
    desk.drain()
    assert tallied(desk, school) == {"sent": 128, "not-gradable": 3}
    with desk.work():
        windows = db.session.execute(
            select(DeliveryTally.bucket, DeliveryTally.count).where(
                DeliveryTally.bucket != SINCE_EVER, DeliveryTally.outcome == "sent"
            )
        ).all()
    assert sorted(windows) == [(START, 127), (START + timedelta(minutes=20), 1)]


def test_old_windows_are_forgotten_and_the_sum_is_not(clock: Traveller, desk: Desk) -> None:
    school = desk.school()
    one = registration_id(desk, school)
    with desk.work():
        count(one, {"sent": 2}, START - timedelta(days=3))
        count(one, {"sent": 1}, START)
        prune(one, START)
    with desk.work():
        rows = db.session.execute(select(DeliveryTally.bucket, DeliveryTally.count)).all()
    assert sorted(rows) == [(SINCE_EVER, 3), (START, 1)]


def failed_exchange(desk: Desk) -> FailedExchange:
    with desk.work():
        row = db.session.scalars(select(FailedExchange)).one()
        db.session.expunge(row)
        return row


def test_the_last_failed_exchange_says_what_happened_and_not_to_whom(desk: Desk) -> None:
    school = desk.school(kind="canvas")
    column = desk.column(school)
    sub = "5f2b0c1e-77aa-4a0e-9a10-1234567890ab"
    score = desk.want(column, sub, given=85_50, comment="王老师说小明很努力")
    with desk.work():
        db.session.execute(
            update(LtiUser).where(LtiUser.sub == sub).values(name="李小明", email="xm@parents.cn")
        )
    echo = {
        "errors": {"message": f"User {sub} 李小明 <xm@parents.cn> not found in course or is not a student"},
        "user": {"login_id": "138001380001", "name": "李 小明"},
        "token": "eyJhbGciOi.eyJzdWIi.c2ln",
    }
    school.faults = [answer(422, echo)]
    desk.drain()
    assert desk.score(score).outcome is Outcome.NOT_GRADABLE
    row = failed_exchange(desk)
    assert (row.code, row.method, row.status) == ("not-gradable", "POST", 422)
    assert row.url == f"{school.url}/course/lineitems/c1/scores"
    assert json.loads(row.request)["scoreGiven"] == 85.5
    assert "not a student" in row.answer
    shown = " ".join([row.url, row.request, row.answer, row.content_type])
    for secret in (sub, "小明", "parents", "138001380001", "eyJ", "王老师"):
        assert secret not in shown


def test_a_refused_token_is_noted_without_the_assertion(desk: Desk) -> None:
    school = desk.school()
    school.token_faults = [answer(400, {"error": "invalid_client"})]
    desk.want(desk.column(school))
    desk.drain()
    row = failed_exchange(desk)
    assert (row.url, row.status) == (f"{school.url}/token", 400)
    assert "invalid_client" in row.answer
    request = json.loads(row.request)
    assert request["grant_type"] == "client_credentials"
    assert len(request["client_assertion"]) == 1


def test_silence_is_noted_as_what_was_asked(desk: Desk) -> None:
    school = desk.school()
    desk.want(desk.column(school))
    school.always = lambda _: (_ for _ in ()).throw(requests.ConnectTimeout("no answer"))
    desk.drain()
    row = failed_exchange(desk)
    assert (row.method, row.status, row.answer) == ("POST", None, "")
    assert row.url.endswith("/c1/scores")


# -- what headers say ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "headers", "rest"),
    [
        ("generic", {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "40"}, 40),
        ("generic", {"RateLimit-Remaining": "0", "RateLimit-Reset": "30"}, 30),
        ("generic", {"Retry-After": "20"}, 20),
        (
            "generic",
            {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(START.timestamp()) + 50)},
            50,
        ),
        ("canvas", {"X-Rate-Limit-Remaining": "10.5"}, 14),
    ],
)
def test_a_platform_that_wants_a_pause_gets_one_without_a_failure(
    clock: Traveller, desk: Desk, kind: str, headers: dict[str, str], rest: int
) -> None:
    school = desk.school(kind=kind)
    school.headers = headers
    column = desk.column(school)
    for number in range(6):
        desk.want(column, f"u{number}")
    desk.drain()
    assert 1 <= len(school.posts) <= 2, "no more than were in flight"
    slot = desk.slot(school)
    assert (slot.failures, slot.last_error) == (0, None)
    assert slot.blocked_until is not None
    assert rest <= (slot.blocked_until - utc_now()).total_seconds() <= rest + 1
    school.headers = {}
    clock.move_to(slot.blocked_until)
    desk.drain()
    assert len(school.grades) == 6


@pytest.mark.parametrize(
    "headers", [{"X-RateLimit-Remaining": "3", "X-RateLimit-Reset": "40"}, {"Retry-After": "x"}]
)
def test_other_limits_are_no_reason_to_pause(desk: Desk, headers: dict[str, str]) -> None:
    school = desk.school()
    school.headers = headers
    column = desk.column(school)
    for number in range(4):
        desk.want(column, f"u{number}")
    desk.drain()
    assert len(school.grades) == 4


@pytest.mark.parametrize("ahead", [240.0, -240.0])
def test_the_platforms_clock_is_learned(clock: Traveller, desk: Desk, ahead: float) -> None:
    school = desk.school()
    school.clock_ahead = ahead
    column = desk.column(school)
    desk.want(column, "u1")
    desk.drain()
    assert abs(desk.slot(school).clock_ahead - ahead * 1000) <= 1000
    desk.want(column, "u2")
    desk.drain()
    stamp = datetime.fromisoformat(school.posts[-1]["timestamp"])
    assert abs((stamp - START).total_seconds() - ahead) <= 1


def test_a_clock_that_is_right_is_left_alone(clock: Traveller, desk: Desk) -> None:
    school = desk.school()
    school.clock_ahead = 1.0
    desk.want(desk.column(school))
    desk.drain()
    assert desk.slot(school).clock_ahead == 0


# -- what teachers gave ------------------------------------------------------------------------------


@pytest.fixture
def graded(clock: Traveller, desk: Desk) -> tuple[Desk, School, int, int]:
    """A score of 40 that was sent to a platform whose results may be read."""
    desk.scopes = [*SCOPES, READING]
    school = desk.school()
    column = desk.column(school)
    assert column is not None
    score = desk.want(column, given=40_00)
    desk.drain()
    clock.shift(60)
    return desk, school, column, score


def reads(school: School) -> int:
    return sum(path.endswith("/results") for _, path in school.calls)


def test_a_grade_that_a_teacher_changed_is_not_overwritten(graded: tuple[Desk, School, int, int]) -> None:
    desk, school, column, score = graded
    school.grades[school.column_url("c1"), "u1"] = 77
    desk.want(column, given=90_00)
    desk.drain()
    assert len(school.posts) == 1
    row = desk.score(score)
    assert (row.state, row.outcome, row.due_at) == (ScoreState.HELD, Outcome.OVERRIDDEN, None)
    assert (row.seen_given, row.seen_maximum, row.difference) == (77_00, 100_00, Difference.CHANGED)


def test_a_grade_that_is_still_ours_is_updated(graded: tuple[Desk, School, int, int]) -> None:
    desk, school, column, score = graded
    desk.want(column, given=90_00)
    desk.drain()
    assert school.grades[school.column_url("c1"), "u1"] == 90
    assert (desk.score(score).state, reads(school)) == (ScoreState.SENT, 1)


def test_a_teacher_who_insists_gets_our_grade(graded: tuple[Desk, School, int, int]) -> None:
    desk, school, column, score = graded
    school.grades[school.column_url("c1"), "u1"] = 77
    with desk.work():
        db.session.execute(update(ScoreRow).where(ScoreRow.id == score).values(insisted_at=utc_now()))
    desk.want(column, given=90_00)
    desk.drain()
    assert school.grades[school.column_url("c1"), "u1"] == 90


def test_what_cannot_be_read_is_sent(clock: Traveller, desk: Desk) -> None:
    school = desk.school()
    column = desk.column(school)
    desk.want(column, given=40_00)
    desk.drain()
    school.grades[school.column_url("c1"), "u1"] = 77
    clock.shift(60)
    desk.want(column, given=90_00)
    desk.drain()
    assert (school.grades[school.column_url("c1"), "u1"], reads(school)) == (90, 0)


def test_a_reading_that_fails_stops_nothing(graded: tuple[Desk, School, int, int]) -> None:
    desk, school, column, _ = graded
    school.faults = [answer(404)]
    desk.want(column, given=90_00)
    desk.drain()
    assert school.grades[school.column_url("c1"), "u1"] == 90


def test_a_teachers_grade_is_looked_for_again_after_a_broken_answer(
    clock: Traveller, graded: tuple[Desk, School, int, int]
) -> None:
    desk, school, column, score = graded
    school.grades[school.column_url("c1"), "u1"] = 77
    school.faults = [answer(500)]
    desk.want(column, given=90_00)
    desk.drain()
    assert (desk.score(score).outcome, len(school.posts)) == (Outcome.RETRY, 1)
    clock.shift(3600)
    desk.drain()
    assert (desk.score(score).outcome, school.grades[school.column_url("c1"), "u1"]) == (
        Outcome.OVERRIDDEN,
        77,
    )


def test_a_platform_that_never_shows_results_gets_the_grade_all_the_same(
    clock: Traveller, graded: tuple[Desk, School, int, int]
) -> None:
    desk, school, column, _ = graded
    desk.want(column, given=90_00)
    for _ in range(3):
        school.faults = [answer(500)]
        desk.drain()
        assert len(school.posts) == 1
        clock.shift(7200)
    school.faults = [answer(500)]
    desk.drain()
    assert school.grades[school.column_url("c1"), "u1"] == 90


def test_nothing_less_follows_a_final_grade(graded: tuple[Desk, School, int, int]) -> None:
    desk, school, column, score = graded
    desk.want(column, given=60_00, grading=GradingProgress.PENDING)
    desk.drain()
    assert len(school.posts) == 1
    row = desk.score(score)
    assert (row.state, row.due_at, row.sent_final) == (ScoreState.WAITING, None, True)


def test_a_column_is_read_back_soon_after_its_first_score(graded: tuple[Desk, School, int, int]) -> None:
    desk, _school, column, _ = graded
    assert desk.line_item(column).due_at == START + timedelta(minutes=5)
