"""What teachers want of a column is what its gradebook shows, whatever happens meanwhile."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
import time_machine
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update
from time_machine import Traveller

from integrations.http import PlatformHttp
from integrations.terms import Outcome
from lti_app import create_app
from lti_app.clock import utc_now
from lti_app.courses.models import CourseProgress
from lti_app.extensions import db
from lti_app.gradebook import services, wishes
from lti_app.gradebook.columns.care import look_after, request_reading
from lti_app.gradebook.delivery.work import deliver
from lti_app.gradebook.models import ColumnKind, Difference, Keeps, LineItem, Score, ScoreState, Sends
from lti_app.gradebook.outcomes import told
from lti_app.gradebook.queries import score_in_context
from lti_app.gradebook.services import describe_column
from lti_app.registrations.models import Registration
from tests.browsing import Visitor
from tests.conftest import settings_for
from tests.fake_ags import READING, SCOPES, Desk, FakeAgs, School, answer
from tests.functional.courses_steps import HALF, came, hand_in, import_pack, only
from tests.unit.courses.pack_writer import COURSE

START = datetime(2026, 11, 23, 19, 0, tzinfo=UTC)
AT_ONCE: dict[str, Any] = {"keeps": Keeps.LATEST, "sends": Sends.AT_ONCE, "paused": False}
PAUSED = AT_ONCE | {"paused": True}
ON_RELEASE = AT_ONCE | {"sends": Sends.ON_RELEASE}
BEST = AT_ONCE | {"keeps": Keeps.BEST}
NUMBERS = itertools.count()


@pytest.fixture
def clock() -> Iterator[Traveller]:
    with time_machine.travel(START, tick=False) as travelling:
        yield travelling


@pytest.fixture
def plain_desk(database_url: str, tmp_path: Path) -> Iterator[Desk]:
    """Without a clock of its own; it reads back what gradebooks show, too."""
    network = FakeAgs()
    app: Flask = create_app(settings_for(tmp_path, database_url), http=PlatformHttp(adapter=network))
    yield Desk(app, network, works=(deliver, look_after), scopes=(*SCOPES, READING))
    with app.app_context():
        db.session.remove()
        db.engine.dispose()


@pytest.fixture
def desk(plain_desk: Desk, clock: Traveller) -> Desk:
    return plain_desk


def policy(desk: Desk, column: int | None, wanted: dict[str, Any]) -> None:
    with desk.work():
        wishes.set_policy(db.session.get_one(LineItem, column), **wanted)


def release(desk: Desk, column: int | None) -> int:
    with desk.work():
        return wishes.release(db.session.get_one(LineItem, column))


def send_now(desk: Desk, column: int | None) -> int:
    with desk.work():
        return wishes.send_now([db.session.get_one(LineItem, column)])


def send_mine(desk: Desk, score_id: int) -> bool:
    with desk.work():
        context_pk = db.session.scalars(
            select(LineItem.context_pk)
            .join(Score, Score.line_item_id == LineItem.id)
            .where(Score.id == score_id)
        ).one()
        score = score_in_context(score_id, context_pk)
        assert score is not None
        return services.send_mine(score, db.session.get_one(Registration, score.registration_id))


def read_back(desk: Desk, clock: Traveller, column: int | None) -> None:
    """So much later that everything sent must show."""
    clock.shift(900)
    with desk.work():
        request_reading([column or 0], utc_now())
    desk.drain()


def shown(school: School, user: str = "u1") -> float | None:
    return school.grades.get((school.column_url("c1"), user))


def test_the_best_is_never_lowered_and_the_latest_may_be(desk: Desk) -> None:
    school = desk.school()
    column = desk.column(school)
    policy(desk, column, BEST)
    for value, kept in ((60_00, 60), (40_00, 60), (80_00, 80), (79_99, 80)):
        score = desk.want(column, given=value)
        desk.drain()
        assert shown(school) == kept
    assert len(school.posts) == 2, "a lower result is nothing to tell"
    policy(desk, column, AT_ONCE)
    desk.want(column, given=40_00)
    desk.drain()
    assert (shown(school), desk.score(score).state) == (40, ScoreState.SENT)


def test_a_paused_column_is_told_nothing_until_it_goes_on(desk: Desk, clock: Traveller) -> None:
    school = desk.school()
    column = desk.column(school)
    school.faults = [answer(500)]
    desk.want(column, "failed once")
    desk.drain()
    desk.want(column, "waiting")
    policy(desk, column, PAUSED)
    score = desk.want(column, "came later", 55_00)
    clock.shift(7200)
    assert desk.drain() == 0
    assert (desk.score(score).state, desk.score(score).due_at) == (ScoreState.WAITING, None)
    desk.retry(score)
    assert send_now(desk, column) == 0
    assert desk.drain() == 0
    assert school.posts == []
    policy(desk, column, AT_ONCE)
    desk.drain()
    assert {post["userId"] for post in school.posts} == {"failed once", "waiting", "came later"}


@pytest.mark.parametrize("wanted", [PAUSED, ON_RELEASE], ids=["paused", "until a release"])
def test_a_call_that_fails_meanwhile_is_not_repeated(
    desk: Desk, clock: Traveller, wanted: dict[str, Any]
) -> None:
    school = desk.school()
    column = desk.column(school)
    desk.want(column)

    def meanwhile(_: object) -> tuple[int, Any, dict[str, str]]:
        policy(desk, column, wanted)
        return 503, {}, {}

    school.faults = [meanwhile]
    desk.pass_once()
    clock.shift(7200)
    desk.drain()
    assert school.posts == []
    policy(desk, column, AT_ONCE)
    desk.drain()
    assert shown(school) == 100


def test_results_wait_for_the_release_and_later_ones_for_the_next(desk: Desk) -> None:
    school = desk.school()
    column = desk.column(school)
    desk.want(column, "not sent yet", 10_00)
    policy(desk, column, ON_RELEASE)
    desk.want(column, "u1", 30_00)
    assert desk.drain() == 0
    assert release(desk, column) == 2
    desk.want(column, "u1", 70_00)
    desk.want(column, "u2", 20_00)
    desk.drain()
    assert (shown(school, "not sent yet"), shown(school), shown(school, "u2")) == (10, None, None)
    assert release(desk, column) == 2
    assert release(desk, column) == 0
    desk.drain()
    assert (shown(school), shown(school, "u2")) == (70, 20)
    assert desk.line_item(column).released_at == START


def test_a_released_result_is_tried_until_it_arrives(desk: Desk, clock: Traveller) -> None:
    school = desk.school()
    column = desk.column(school)
    policy(desk, column, ON_RELEASE)
    desk.want(column)
    release(desk, column)
    school.faults = [answer(500)]
    desk.drain()
    assert shown(school) is None
    clock.shift(60)
    desk.drain()
    assert shown(school) == 100


def test_nothing_is_released_from_a_paused_column(desk: Desk) -> None:
    school = desk.school()
    column = desk.column(school)
    policy(desk, column, ON_RELEASE | {"paused": True})
    desk.want(column)
    assert release(desk, column) == 0
    policy(desk, column, ON_RELEASE)
    assert desk.drain() == 0, "going on is no release"
    assert desk.line_item(column).released_at is None


def test_a_teachers_grade_stays_until_ours_is_asked_for(desk: Desk, clock: Traveller) -> None:
    school = desk.school()
    column = desk.column(school)
    score = desk.want(column, given=60_00)
    desk.drain()
    assert not send_mine(desk, score), "there is no other grade to replace"
    school.teacher_sets("u1", 99)
    read_back(desk, clock, column)
    desk.want(column, given=75_00)
    row = desk.score(score)
    assert (row.state, row.outcome, row.due_at, row.given) == (
        ScoreState.HELD,
        Outcome.OVERRIDDEN,
        None,
        75_00,
    )
    assert send_now(desk, column) == 0
    policy(desk, column, PAUSED)
    policy(desk, column, AT_ONCE)
    desk.drain()
    assert shown(school) == 99
    desk.retry(score)
    desk.drain()
    assert shown(school) == 75
    assert desk.score(score).insisted_at == utc_now()


def test_where_a_teachers_grade_stays_all_the_same_the_page_does_not_say_that_ours_arrived(
    desk: Desk, clock: Traveller
) -> None:
    school = desk.school(kind="moodle")
    column = desk.column(school)
    score = desk.want(column, given=60_00)
    desk.drain()
    school.teacher_sets("u1", 99)
    read_back(desk, clock, column)
    assert send_mine(desk, score)
    desk.drain()
    clock.shift(301)
    desk.drain()
    row = desk.score(score)
    assert (row.state, row.outcome, row.difference) == (
        ScoreState.HELD,
        Outcome.OVERRIDDEN,
        Difference.CHANGED,
    )
    words = told(row.state, row.outcome, row.due_at, difference=row.difference, keeps_teacher_grades=True)
    with desk.app.test_request_context():
        assert "取消这个人的改分" in str(words.next_step)


def test_send_now_hurries_what_waits_for_another_try(desk: Desk) -> None:
    school = desk.school()
    column = desk.column(school)
    school.faults = [answer(500)]
    desk.want(column)
    desk.drain()
    assert desk.drain() == 0
    assert send_now(desk, column) == 1
    assert send_now(desk, column) == 0, "it is on its way"
    desk.drain()
    assert shown(school) == 100


def test_a_column_that_moves_takes_nothing_along_that_is_kept_back(desk: Desk) -> None:
    school = desk.school()
    column = desk.column(school)
    desk.want(column, "sent", 50_00)
    desk.drain()
    policy(desk, column, ON_RELEASE)
    desk.want(column, "kept", 60_00)
    desk.move(school, "c1", school.column_url("c2"))
    desk.drain()
    assert school.grades.get((school.column_url("c2"), "sent")) == 50
    assert (school.column_url("c2"), "kept") not in school.grades


def test_a_column_of_ours_follows_the_title_and_dates_and_a_teachers_does_not(desk: Desk) -> None:
    school = desk.school(kind="open-edx")
    made, coupled = desk.column(school, "c1", coupled=False), desk.column(school, "c2")
    desk.want(made)
    desk.drain()
    assert (desk.line_item(made).made_by_us, desk.line_item(coupled).made_by_us) == (True, False)
    for column in (made, coupled):
        with desk.work():
            row = db.session.get_one(LineItem, column)
            describe_column(row, label="新名字", starts_at=START, ends_at=None)
    desk.drain()
    assert [item["label"] for item in school.columns] == ["新名字"]
    assert school.columns[0]["startDateTime"].startswith("2026-11-23T19:00")
    assert not any(method == "PUT" and path.endswith("/c2") for method, path in school.calls)
    assert desk.line_item(coupled).label == "新名字", "our pages call it so"


def test_what_was_meant_for_something_else_is_never_sent(app: Flask, visit: Visitor) -> None:
    came(visit, "parent").post("/lessons/read/read")
    hand_in(came(visit, "parent"), HALF)
    teacher = visit("teacher")
    teacher.post("/choose", {"course": "demo", "counts": "progress"})
    assert only(app, Score).due_at is not None
    teacher.post("/choose", {"course": "demo", "counts": "nothing"})
    assert only(app, Score).state is ScoreState.DROPPED
    with app.app_context():
        column = db.session.scalars(select(LineItem)).one()
        for wanted in (PAUSED, AT_ONCE, ON_RELEASE):
            wishes.set_policy(column, **wanted)
        assert wishes.release(column) == 0
        assert wishes.send_now([column]) == 0
        wishes.set_policy(column, **AT_ONCE)
        db.session.commit()
    assert only(app, Score).state is ScoreState.DROPPED
    teacher.post("/choose", {"course": "demo", "counts": "progress"})
    assert only(app, Score).due_at is not None


def test_from_best_to_latest_the_latest_shows_again(app: Flask, visit: Visitor) -> None:
    came(visit, "parent").post("/lessons/read/read")
    teacher = visit("teacher")
    teacher.post("/choose", {"course": "demo", "counts": "progress"})
    before = only(app, Score).given
    assert before > 0
    with app.app_context():
        wishes.set_policy(db.session.scalars(select(LineItem)).one(), **BEST)
        # A later version of the course has more lessons, so less of it is done.
        db.session.execute(update(CourseProgress).values(percent=1))
        db.session.commit()
    teacher.post("/choose", {"course": "demo", "counts": "progress"})
    assert only(app, Score).given == before
    with app.app_context():
        wishes.set_policy(db.session.scalars(select(LineItem)).one(), **AT_ONCE)
        db.session.commit()
    assert only(app, Score).given == 1_00


def test_a_new_version_of_a_course_renames_the_columns_that_we_made(
    app: Flask, visit: Visitor, tmp_path: Path
) -> None:
    import_pack(app, tmp_path / "first")
    visit("teacher", "listening").post("/choose", {"course": "listening", "counts": "progress"})
    came(visit, "parent", "listening").post("/lessons/read/read")
    with app.app_context():
        db.session.execute(update(LineItem).values(made_by_us=True))
        db.session.commit()
    import_pack(app, tmp_path / "second", 2, course=COURSE.replace("先听再说", "先听，再说"))
    column = only(app, LineItem)
    assert (column.label, column.wants_edit) == ("先听，再说", True)


def test_results_and_a_pause_at_the_same_moment(plain_desk: Desk) -> None:
    """Whoever comes first: nothing is due in a paused column, and nothing is forgotten when it goes on."""
    desk = plain_desk
    column = desk.column(desk.school())
    for user in range(4):
        desk.want(column, f"u{user}", 1_00)
    gate = Barrier(5)

    def result(user: int, round_: int) -> None:
        gate.wait()
        desk.want(column, f"u{user}", (round_ + 2) * 1_00)

    def change(wanted: dict[str, Any]) -> None:
        gate.wait()
        policy(desk, column, wanted)

    with ThreadPoolExecutor(5) as pool:
        for round_, wanted in enumerate([PAUSED, AT_ONCE] * 4):
            jobs = [pool.submit(result, user, round_) for user in range(4)]
            jobs.append(pool.submit(change, wanted))
            for job in jobs:
                job.result()
            with desk.work():
                due = [score.due_at is not None for score in db.session.scalars(select(Score))]
            assert due == [not wanted["paused"]] * 4, f"round {round_}"


VALUES = st.sampled_from([0, 30_00, 60_00, 90_00])
USERS = st.sampled_from(["u1", "u1", "u2"])
PAUSES = st.sampled_from([False, False, True])
WANT = st.tuples(st.just("want"), USERS, VALUES)
STEPS = st.lists(
    st.one_of(
        WANT,
        WANT,
        st.tuples(st.just("policy"), st.sampled_from(list(Keeps)), st.sampled_from(list(Sends)), PAUSES),
        st.tuples(st.just("release")),
        st.tuples(st.just("work")),
        st.tuples(st.just("teacher"), USERS, VALUES),
        st.tuples(st.just("mine"), USERS),
    ),
    min_size=15,
    max_size=40,
)


class Story:
    """Random wishes at one school, and what they mean, in as few words as possible."""

    def __init__(self, desk: Desk, clock: Traveller) -> None:
        self.desk, self.clock = desk, clock
        self.school = desk.school(f"w{next(NUMBERS)}.test")
        self.column = desk.column(self.school)
        self.wishes = dict(AT_ONCE)
        self.scores: dict[str, int] = {}
        self.value: dict[str, int] = {}
        self.state: dict[str, str] = {}
        self.gradebook: dict[str, float] = {}

    def want(self, user: str, value: int) -> None:
        self.scores[user] = self.desk.want(self.column, user, value)
        before = self.value.get(user)
        if before == value or (self.wishes["keeps"] is Keeps.BEST and value < (before or 0)):
            return
        self.value[user] = value
        if self.state.get(user) != "overridden":
            self.state[user] = self._new()

    def policy(self, keeps: Keeps, sends: Sends, paused: bool) -> None:
        before, self.wishes = self.wishes, {"keeps": keeps, "sends": sends, "paused": paused}
        policy(self.desk, self.column, self.wishes)
        if (paused and not before["paused"]) or (sends, before["sends"]) == (Sends.ON_RELEASE, Sends.AT_ONCE):
            self._become("due", "kept back")
        if not paused and sends is Sends.AT_ONCE:
            self._become("kept back", "due")

    def release(self) -> None:
        release(self.desk, self.column)
        if not self.wishes["paused"]:
            self._become("kept back", "due")

    def work(self) -> None:
        self.desk.drain()
        for user in [user for user, state in self.state.items() if state == "due"]:
            self.gradebook[user] = self.value[user] / 100
            self.state[user] = "sent"
        assert self.shown() == self.gradebook

    def teacher(self, user: str, value: int) -> None:
        """Gives a grade in the LMS where there is one of ours, and we notice."""
        self.work()
        if self.state.get(user) not in ("sent", "overridden"):
            return
        self.school.teacher_sets(user, value / 100)
        self.gradebook[user] = value / 100
        # Before the reading: where ours stands again, what was kept meanwhile is sent right after it.
        sent = self.desk.score(self.scores[user]).sent_given
        read_back(self.desk, self.clock, self.column)
        if sent != value:
            self.state[user] = "overridden"
        elif self.state[user] == "overridden":
            # Ours again, so a newer one of ours is to follow it.
            self.state[user] = self._new() if self.value[user] != sent else "sent"
        self.work()

    def mine(self, user: str) -> None:
        if user in self.scores and send_mine(self.desk, self.scores[user]):
            assert self.state[user] == "overridden"
            self.state[user] = "kept back" if self.wishes["paused"] else "due"

    def shown(self) -> dict[str, float]:
        return {user: points for (_, user), points in self.school.grades.items()}

    def _new(self) -> str:
        runs = not self.wishes["paused"] and self.wishes["sends"] is Sends.AT_ONCE
        return "due" if runs else "kept back"

    def _become(self, before: str, after: str) -> None:
        self.state = {user: after if state == before else state for user, state in self.state.items()}


def test_the_gradebook_shows_what_was_wished(plain_desk: Desk) -> None:
    @settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(STEPS)
    def holds(steps: list[tuple[Any, ...]]) -> None:
        with time_machine.travel(START, tick=False) as clock:
            story = Story(plain_desk, clock)
            for name, *values in steps:
                getattr(story, name)(*values)
            story.work()

    holds()


@pytest.mark.parametrize(
    ("state", "outcome", "more", "word"),
    [
        (ScoreState.WAITING, None, {"withheld": "paused"}, "已暂停"),
        (ScoreState.WAITING, None, {"withheld": "on-release"}, "等老师公布"),
        (ScoreState.WAITING, None, {"withheld": "no-column"}, "正在建栏"),
        (ScoreState.WAITING, None, {}, "学习中"),
        (ScoreState.DROPPED, None, {"withheld": "paused"}, "不写入"),
        (ScoreState.SENT, Outcome.SENT, {"difference": Difference.LATE}, "迟交扣分"),
        (ScoreState.SENT, Outcome.SENT, {"withheld": "paused"}, "已写入"),
        (ScoreState.HELD, Outcome.OVERRIDDEN, {"difference": Difference.CLEARED}, "老师已清除"),
        (ScoreState.HELD, Outcome.OVERRIDDEN, {}, "老师已改分"),
        (ScoreState.WAITING, Outcome.RETRY, {"difference": Difference.ROUNDED}, "稍后重发"),
    ],
)
def test_the_word_of_a_cell(
    lite_app: Flask, state: ScoreState, outcome: Outcome | None, more: dict[str, Any], word: str
) -> None:
    with lite_app.test_request_context():
        assert str(told(state, outcome, None, **more).word) == word


def test_every_kind_of_column_can_be_brought_up_to_date(lite_app: Flask) -> None:
    assert set(wishes.PROJECTORS) == set(ColumnKind)
