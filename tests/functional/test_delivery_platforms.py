"""A platform in trouble gets a rest, keeps nobody else waiting, and is served by one worker at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
import time_machine
from structlog.testing import capture_logs
from time_machine import Traveller

from integrations.terms import Outcome
from lti_app.clock import utc_now
from lti_app.delivery.services import release_slot, take_slot
from lti_app.delivery.turns import LEASE_SECONDS, Turn
from lti_app.delivery.worker import EmbeddedWorker, run_once
from lti_app.extensions import db
from lti_app.gradebook.delivery.work import deliver
from lti_app.gradebook.models import LineItem, ScoreState
from tests.fake_ags import Desk, answer, failure, running_desk

START = datetime(2026, 11, 23, 19, 0, tzinfo=UTC)
NO_ANSWER = failure(requests.ConnectTimeout("no answer"))


@pytest.fixture
def desk(database_url: str, tmp_path: Path) -> Iterator[Desk]:
    with running_desk(Desk, tmp_path, database_url) as running:
        yield running


@pytest.fixture
def clock() -> Iterator[Traveller]:
    with time_machine.travel(START, tick=False) as travelling:
        yield travelling


def test_a_dead_platform_delays_no_other(clock: Traveller, desk: Desk) -> None:
    dead, alive = desk.school("dead.test"), desk.school("alive.test")
    dead.always = NO_ANSWER
    for number in range(5):
        desk.want(desk.column(dead), f"u{number}")
    desk.want(desk.column(alive))
    desk.pass_once()
    assert len(alive.posts) == 1
    assert sum(path.endswith("/scores") for _, path in dead.calls) <= 2, "the calls in flight told enough"


def test_a_dead_platform_is_asked_less_and_less_and_then_gets_everything(
    clock: Traveller, desk: Desk
) -> None:
    school = desk.school()
    school.always = NO_ANSWER
    column = desk.column(school)
    for number in range(30):
        desk.want(column, f"u{number}")
    rests = []
    for _ in range(12):
        desk.drain()
        until = desk.slot(school).blocked_until
        assert until is not None
        rests.append((until - utc_now()).total_seconds())
        clock.move_to(until)
    calls = sum(path.endswith("/scores") for _, path in school.calls)
    assert 12 <= calls <= 13, "two at once at first, then one probe for each rest"
    assert rests[:5] == sorted(rests[:5])
    assert 5 <= rests[0] <= 7.5
    assert max(rests) == 900
    school.always = None
    while (due := desk.next_due()) is not None:
        clock.move_to(max(due, utc_now()))
        desk.drain()
    assert len(school.grades) == 30
    assert utc_now() - until <= timedelta(hours=1.5)
    slot = desk.slot(school)
    assert (slot.failures, slot.blocked_until, slot.last_error) == (0, None, None)


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_obeyed(clock: Traveller, desk: Desk, status: int) -> None:
    school = desk.school()
    school.faults = [answer(status, **{"Retry-After": "120"})] * 2
    column = desk.column(school)
    scores = [desk.want(column, "u1"), desk.want(column, "u2")]
    desk.drain()
    clock.shift(119)
    assert desk.drain() == 0
    assert len(school.posts) == 0
    school.faults = []  # when only one call met it
    clock.shift(14)
    desk.drain()
    clock.shift(60)
    desk.drain()
    assert {desk.score(score).state for score in scores} == {ScoreState.SENT}


def test_one_score_that_breaks_the_platform_does_not_block_the_others(clock: Traveller, desk: Desk) -> None:
    school = desk.school()
    column = desk.column(school)
    poison = desk.want(column, "poison")
    fine = [desk.want(column, f"u{number}") for number in range(10)]

    def break_on_poison(request: requests.PreparedRequest) -> tuple[int, object, dict[str, str]] | None:
        return (500, b"<html>", {}) if b"poison" in (request.body or b"") else None  # type: ignore[operator]

    school.always = break_on_poison
    waits = []
    for _ in range(6):
        desk.drain()
        row = desk.score(poison)
        assert row.due_at is not None
        waits.append((row.due_at - utc_now()).total_seconds())
        clock.move_to(row.due_at)
    assert {desk.score(score).state for score in fine} == {ScoreState.SENT}
    assert (row.state, row.outcome) == (ScoreState.WAITING, Outcome.RETRY)
    assert waits == sorted(waits)
    assert waits[0] >= 5


def test_a_refused_key_rests_the_platform_and_not_each_score(clock: Traveller, desk: Desk) -> None:
    school = desk.school()
    refusal = answer(400, {"error": "invalid_client"})
    school.token_faults = [refusal, refusal]
    column = desk.column(school)
    scores = [desk.want(column, f"u{number}") for number in range(20)]
    desk.drain()
    assert 1 <= len(school.calls) <= 2, "no more than were in flight"
    assert {path for _, path in school.calls} == {"/token"}
    assert desk.slot(school).last_error == "invalid-client"
    assert sum(desk.score(score).attempts for score in scores) == len(school.calls)
    while (due := desk.next_due()) is not None:
        clock.move_to(max(due, utc_now()))
        desk.drain()
    assert len(school.grades) == 20


def test_a_column_is_made_once_and_found_again(clock: Traveller, desk: Desk) -> None:
    school = desk.school(kind="open-edx")
    column = desk.column(school, coupled=False)
    desk.want(column, "u1")
    desk.want(column, "u2")
    with desk.mortal() as die:
        school.after = die
        desk.pass_once()
    assert len(school.columns) == 1, "made, and then the worker died before it could remember it"
    clock.shift(LEASE_SECONDS + 1)
    desk.drain()
    assert len(school.columns) == 1
    made = school.columns[0]
    assert (made["resourceLinkId"], made["resourceId"], made["scoreMaximum"]) == ("c1", "course-c1", 100)
    assert set(school.grades) == {(made["id"], "u1"), (made["id"], "u2")}
    with desk.work():
        assert db.session.get_one(LineItem, column).url == made["id"]


def test_no_column_is_made_where_the_teacher_decides(desk: Desk) -> None:
    assert desk.column(desk.school(kind="moodle"), coupled=False) is None


def test_a_column_of_the_teacher_is_taken_over_before_and_after_ours(clock: Traveller, desk: Desk) -> None:
    school = desk.school(kind="open-edx")
    column = desk.column(school, coupled=False)
    desk.want(column)
    school.always = answer(403)
    desk.drain()
    assert school.columns == []
    school.always = None
    desk.move(school, "c1", school.column_url("teachers"))
    clock.shift(3600)
    desk.drain()
    assert set(school.grades) == {(school.column_url("teachers"), "u1")}
    desk.move(school, "c1", school.column_url("newer"))
    desk.drain()
    assert school.grades[school.column_url("newer"), "u1"] == 100
    desk.move(school, "c1", school.column_url("newer") + "?type_id=1")
    assert desk.drain() == 0, "another query is the same column"


def test_a_deleted_column_is_made_anew_when_the_teacher_asks(clock: Traveller, desk: Desk) -> None:
    school = desk.school(kind="open-edx")
    column = desk.column(school, coupled=False)
    scores = [desk.want(column, f"u{number}") for number in range(3)]
    desk.drain()
    school.columns.clear()
    school.always = answer(404)
    scores = [desk.want(column, f"u{number}", given=1_00) for number in range(3)]
    desk.drain()
    assert {desk.score(score).outcome for score in scores} == {Outcome.COLUMN_GONE}
    school.always = None
    clock.shift(timedelta(days=30))
    assert desk.drain() == 0, "nobody wants it back so far"
    desk.retry(scores[0])
    desk.drain()
    assert {desk.score(score).state for score in scores} == {ScoreState.SENT}
    assert len(school.columns) == 1


def test_only_one_of_many_gets_the_lease(desk: Desk) -> None:
    school = desk.school()
    with desk.work():
        registration_id = desk.registration(school).id
    start = threading.Barrier(8)

    def take(holder: int) -> bool:
        start.wait()
        with desk.work():
            return take_slot(registration_id, f"holder-{holder}", utc_now(), 60)

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(take, range(8))) == 1


def test_a_lease_ends_by_release_and_by_time(clock: Traveller, desk: Desk) -> None:
    school = desk.school()
    with desk.work():
        registration_id = desk.registration(school).id
        assert take_slot(registration_id, "one", utc_now(), 60)
        assert not take_slot(registration_id, "two", utc_now(), 60)
        release_slot(registration_id, "two")
        assert not take_slot(registration_id, "two", utc_now(), 60), "only the holder can give it back"
        release_slot(registration_id, "one")
        assert take_slot(registration_id, "two", utc_now(), 60)
        clock.shift(61)
        assert take_slot(registration_id, "one", utc_now(), 60)


def test_two_workers_never_talk_to_one_platform_at_once(desk: Desk) -> None:
    school = desk.school()
    column = desk.column(school)
    for number in range(10):
        desk.want(column, f"u{number}")
    sending, other_is_back = threading.Event(), threading.Event()

    def hold() -> None:
        sending.set()
        assert other_is_back.wait(10)

    school.after = hold
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(desk.pass_once)
        assert sending.wait(10)
        assert desk.pass_once() == 0
        other_is_back.set()
        assert first.result(10) == 10
    assert desk.network.most_in_flight <= 2, "as many as the platform allows, of one worker"
    assert len(school.posts) == 10


def test_different_platforms_are_served_side_by_side(desk: Desk) -> None:
    schools = [desk.school("a.test"), desk.school("b.test")]
    both = threading.Barrier(2, timeout=10)
    for school in schools:
        school.after = lambda: both.wait() and None
        desk.want(desk.column(school))
    with ThreadPoolExecutor(2) as pool:
        assert sum(pool.map(lambda _: desk.pass_once(), range(2))) == 2
    assert [len(school.posts) for school in schools] == [1, 1]


class Broken:
    """A work with a fault of ours."""

    name = "broken"

    def __init__(self) -> None:
        self.asked = threading.Event()

    def due(self, now: datetime) -> Sequence[int]:
        self.asked.set()
        raise KeyError("a bug")

    def serve(self, turn: Turn) -> int:
        raise NotImplementedError


def test_the_embedded_worker_sends_at_once_what_is_committed(desk: Desk) -> None:
    school = desk.school()
    column = desk.column(school)
    worker = EmbeddedWorker(desk.app, [deliver])
    desk.app.extensions["embedded_worker"] = worker
    worker.start()
    worker.start()
    try:
        score = desk.want(column)
        assert school.posted.wait(10)
    finally:
        worker.stop()
    assert [thread for thread in threading.enumerate() if thread.name.startswith("delivery-")] == []
    assert desk.score(score).state is ScoreState.SENT, "stopping waits for the outcome to be written"
    slot = desk.slot(school)
    assert (slot.holder, slot.lease_until) == (None, None)


def test_a_fault_of_ours_does_not_end_the_worker(desk: Desk) -> None:
    broken = Broken()
    worker = EmbeddedWorker(desk.app, [broken], threads=1)
    with capture_logs() as logged:
        worker.start()
        try:
            assert broken.asked.wait(10)
            broken.asked.clear()
            worker.wake()
            assert broken.asked.wait(10), "it asks again"
        finally:
            worker.stop()
    assert {entry["error"] for entry in logged} == {"KeyError"}
    assert "a bug" not in str(logged), "the text of an error may hold anything"


def serving(registration_id: int, call: Callable[[Turn], int]) -> Broken:
    work = Broken()
    work.due = lambda now: [registration_id]  # type: ignore[method-assign]
    work.serve = call  # type: ignore[method-assign]
    return work


def test_a_turn_that_fails_rests_its_platform_and_gives_the_lease_back(desk: Desk) -> None:
    school = desk.school()

    with desk.work():
        registration_id = desk.registration(school).id

    def fail(turn: Turn) -> int:
        raise ZeroDivisionError

    assert run_once(desk.app, [serving(registration_id, fail)]) == 0
    slot = desk.slot(school)
    assert (slot.holder, slot.failures, slot.last_error) == (None, 1, "internal-error")
