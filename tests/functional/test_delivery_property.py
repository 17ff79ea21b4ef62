"""Whatever people, teachers, platforms and dying workers do: in the end the gradebook shows what was last
wanted, or the score's own row says why not."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
import time_machine
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from time_machine import Traveller

from integrations.terms import Outcome
from lti_app.clock import utc_now
from lti_app.delivery.models import DeliverySlot
from lti_app.delivery.turns import LEASE_SECONDS
from lti_app.extensions import db
from lti_app.gradebook.columns.care import look_after, request_reading
from lti_app.gradebook.delivery.work import deliver
from lti_app.gradebook.models import Difference, Keeps, LineItem, Score, ScoreState, Sends
from lti_app.gradebook.wishes import release, send_now, set_policy
from tests.fake_ags import (
    READING,
    SCOPES,
    Answer,
    Desk,
    Fault,
    School,
    answer,
    failure,
    running_desk,
)

START = datetime(2026, 11, 23, 19, 0, tzinfo=UTC)
USERS = ("u1", "u2", "u3")
NAME = "c1"
OURS = st.integers(1, 100).map(lambda points: points * 100)
TEACHERS = st.one_of(st.none(), st.integers(0, 99).map(lambda points: points + 0.25))
"""Points that are never ours, so that the gradebook tells whose a grade is."""
FAULTS: dict[str, Fault] = {
    "busy": answer(503),
    "wait": answer(429, **{"Retry-After": "40"}),
    "broken": answer(500),
    "silent": failure(requests.ReadTimeout("no answer")),
    "page": answer(200, b"<html>Please log in</html>", **{"Content-Type": "text/html; charset=utf-8"}),
    "stale": answer(409),
    "unauthorized": answer(401),
    "refused": answer(400, b"[]"),
    "gone": answer(404, {"error": "no such column"}),
    "unpublished": answer(422, {"errors": "This assignment is still unpublished"}),
}
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("want"), st.sampled_from(USERS), OURS),
        st.tuples(st.just("want"), st.sampled_from(USERS), OURS),
        st.tuples(
            st.just("fault"), st.sampled_from([*sorted(FAULTS), "lost"]), st.sampled_from(["", "/scores"])
        ),
        st.tuples(st.just("work"), st.sampled_from(["lives", "dies", "is overtaken", "sees a change"])),
        st.tuples(st.just("work"), st.just("lives")),
        st.tuples(st.just("wait"), st.sampled_from([1, 30, 91, 4000])),
        st.tuples(st.just("teacher"), st.sampled_from(USERS), TEACHERS),
        st.tuples(st.just("frees"), st.sampled_from(USERS)),
        st.tuples(st.just("insists"), st.sampled_from(USERS)),
        st.tuples(st.just("policy"), st.sampled_from(["best", "hold", "pause", "go", "release", "now"])),
        st.tuples(st.just("looks")),
        st.tuples(st.just("limits"), st.sampled_from(["0", "5"])),
        st.tuples(st.just("swallows"), st.booleans()),
    ),
    min_size=4,
    max_size=25,
)
NUMBERS = itertools.count()
PHASES = [phase for phase in Phase if phase is not Phase.explain]


@pytest.fixture
def desk(database_url: str, tmp_path: Path) -> Iterator[Desk]:
    with running_desk(
        Desk, tmp_path, database_url, works=(deliver, look_after), scopes=(*SCOPES, READING)
    ) as running:
        yield running


class Story:
    """One random story at one school, and what must come of it."""

    def __init__(self, desk: Desk, clock: Traveller, kind: str, ahead: float) -> None:
        self.desk, self.clock = desk, clock
        self.school: School = desk.school(f"s{next(NUMBERS)}.test", kind)
        self.school.clock_ahead = ahead
        # A column that was "not found" for a moment is there when it is looked for again.
        there = {
            "id": self.school.column_url(NAME),
            "label": "微课",
            "scoreMaximum": 100,
            "resourceLinkId": NAME,
        }
        self.school.columns.append(there)
        column = desk.column(self.school, NAME)
        assert column is not None
        self.column = column
        self.keeps, self.sends, self.paused = Keeps.LATEST, Sends.AT_ONCE, False
        self.wanted: dict[str, int] = {}
        self.scores: dict[str, int] = {}
        self.respected: dict[str, float | None] = {}
        """Grades of teachers that must stay: they changed what we know to have been ours."""
        self.blind = False
        """Reading what the gradebook shows met a fault, so a teacher's grade may be overwritten."""

    # -- what happens ------------------------------------------------------------------------------

    def want(self, user: str, value: int) -> None:
        self.scores[user] = self.desk.want(self.column, user, value)
        if self.keeps is Keeps.LATEST or value > self.wanted.get(user, -1):
            self.wanted[user] = value

    def fault(self, name: str, where: str) -> None:
        """The next call, or the next one to an address with `where` in it, goes wrong."""
        fault = self._lose if name == "lost" else FAULTS[name]

        def meet(request: requests.PreparedRequest) -> Answer | None:
            if where not in (request.url or ""):
                self.school.faults.append(meet)
                return None
            self.blind = self.blind or "/results" in (request.url or "")
            return fault(request)

        self.school.faults.append(meet)

    def _lose(self, request: requests.PreparedRequest) -> Answer:
        """Done, and the answer never arrives."""
        body = request.body.encode() if isinstance(request.body, str) else request.body
        self.school.serve(request.method or "", request.url or "", body, request.headers)
        raise requests.ReadTimeout("no answer")

    def wait(self, seconds: int) -> None:
        self.clock.shift(seconds)

    def work(self, how: str) -> None:
        if how == "dies":
            with self.desk.mortal() as die:
                self.school.after = die
                self.desk.pass_once()
        elif how == "is overtaken":
            self.school.faults.insert(0, self._overtake)
            self.desk.pass_once()
        elif how == "sees a change":
            self.school.after = lambda: self.want("u1", (self.wanted.get("u1", 0) + 1_00) % 100_00)
            self.desk.pass_once()
        else:
            self.desk.pass_once()
        self.school.after = None

    def _overtake(self, request: requests.PreparedRequest) -> None:
        self.blind = self.blind or "/results" in (request.url or "")
        self.clock.shift(LEASE_SECONDS + 1)
        self.want("u1", (self.wanted.get("u1", 0) + 7_00) % 100_00)
        self.desk.pass_once()

    def teacher(self, user: str, points: float | None) -> None:
        if user not in self.scores:
            return
        row = self.desk.score(self.scores[user])
        known = row.sent_given is not None and row.sent_given / 100 == self.shown(user)
        known = known or user in self.respected or row.outcome is Outcome.OVERRIDDEN
        self.school.teacher_sets(user, points, NAME)
        # Otherwise we cannot know that what was replaced was ours, or that anything was there to take away.
        if known and (points is not None or row.seen_given is not None):
            self.respected[user] = points
        else:
            self.respected.pop(user, None)

    def frees(self, user: str) -> None:
        if self.school.kind == "moodle":
            self.school.teacher_frees(user, NAME)
            self.respected.pop(user, None)

    def insists(self, user: str) -> None:
        row = self.desk.score(self.scores[user]) if user in self.scores else None
        if row is not None and row.outcome is Outcome.OVERRIDDEN:
            self.desk.retry(row.id)
            self.respected.pop(user, None)

    def policy(self, name: str) -> None:
        with self.desk.work():
            column = db.session.get_one(LineItem, self.column)
            if name == "release":
                release(column)
                return
            if name == "now":
                send_now([column])
                return
            if name == "best":
                self.keeps = Keeps.BEST
            elif name == "hold":
                self.sends = Sends.ON_RELEASE
            else:
                self.paused = name == "pause"
                self.sends = Sends.AT_ONCE if name == "go" else self.sends
            set_policy(column, keeps=self.keeps, sends=self.sends, paused=self.paused)

    def looks(self) -> None:
        with self.desk.work():
            request_reading([self.column], utc_now())
        self.desk.pass_once()

    def limits(self, remaining: str) -> None:
        self.school.headers = {"X-RateLimit-Remaining": remaining, "X-RateLimit-Reset": "20"}

    def swallows(self, does: bool) -> None:
        """The column takes scores and shows nothing; what it did not show before we looked is tried again."""
        self.school.swallowing = {self.school.column_url(NAME)} if does else set()
        self.blind = self.blind or does

    # -- the end -----------------------------------------------------------------------------------

    def shown(self, user: str) -> float | None:
        return self.school.grades.get((self.school.column_url(NAME), user))

    def settle(self) -> None:
        """The platform is well again, nothing is kept back, teachers press "try again", and time passes."""
        self.school.faults.clear()
        self.school.headers.clear()
        self.school.swallowing.clear()
        self.policy("go")
        for score in self.scores.values():
            row = self.desk.score(score)
            if row.state is ScoreState.HELD and row.outcome is not Outcome.OVERRIDDEN:
                self.desk.retry(score)
        for _ in range(3):
            self._run_dry()
            self.clock.shift(timedelta(minutes=11))
            self.looks()
        assert not [row for row in self._due() if row.outcome is not Outcome.SWALLOWED], "never settles"

    def _run_dry(self) -> None:
        for _ in range(40):
            due = [row.due_at for row in self._due() if row.due_at is not None]
            if not due:
                return
            self.clock.move_to(max(min(due), self._rest(), utc_now()))
            if not self.desk.drain():
                self.clock.shift(60)
        raise AssertionError("never settles")

    def _due(self) -> list[Score]:
        return [row for row in map(self.desk.score, self.scores.values()) if row.due_at is not None]

    def _rest(self) -> datetime:
        """Until when the school is left alone."""
        with self.desk.work():
            slot = db.session.get(DeliverySlot, self.desk.registration(self.school).id)
            return (slot and slot.blocked_until) or START

    def proof(self, user: str) -> None:
        """The gradebook shows what is wanted, or the row says what it shows instead and why."""
        row, shown = self.desk.score(self.scores[user]), self.shown(user)
        assert row.given == self.wanted[user], "what is wanted is never forgotten"
        if user in self.respected and not self.blind:
            assert shown == self.respected[user], "a teacher's grade stays"
        if row.outcome is Outcome.OVERRIDDEN:
            self._explained(user, row, shown)
        elif row.outcome is Outcome.SWALLOWED:
            # Nobody has a grade there: who took the only one away before we looked cannot be told from it.
            assert shown is None
            assert {"user": user, "column": NAME, "points": None} in self.school.edits
        else:
            assert (row.state, row.sent_revision) == (ScoreState.SENT, row.revision), row.outcome
            assert shown == row.given / 100

    def _explained(self, user: str, row: Score, shown: float | None) -> None:
        edited = [edit["points"] for edit in self.school.edits if edit["user"] == user and "points" in edit]
        # (What a column swallowed while nobody looked can only look like a teacher's doing.)
        if (self.school.column_url(NAME), user) not in self.school.swallowed:
            assert shown in edited, "nobody but a teacher made the difference"
        assert row.seen_given == (None if shown is None else round(shown * 100))
        assert row.difference is (Difference.CLEARED if shown is None else Difference.CHANGED)


LOST = [("fault", "lost", "/scores"), ("work", "lives")]
FIRST = [("want", "u1", 1_00), ("work", "lives")]


@pytest.mark.parametrize("kind", ["generic", "moodle", "canvas", "open-edx"])
def test_the_gradebook_ends_as_wanted(desk: Desk, kind: str) -> None:
    @settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow], phases=PHASES)
    @given(STEPS, st.sampled_from([0, 0, -100, 100]))
    @example([*FIRST, ("want", "u1", 2_00), *LOST, ("wait", 4000), ("work", "lives")], 0)
    @example([*FIRST, ("want", "u1", 2_00), *LOST, ("want", "u1", 3_00), ("wait", 4000)], 0)
    @example([*FIRST, ("want", "u1", 2_00), ("work", "dies"), ("want", "u1", 3_00), ("wait", 4000)], 0)
    @example([*FIRST, ("teacher", "u1", 5.25), ("want", "u1", 3_00)], 0)
    @example([*FIRST, ("looks",), ("teacher", "u1", None), ("want", "u1", 3_00)], 0)
    @example([("want", "u1", 1_00), ("work", "is overtaken"), ("want", "u1", 1_00)], 0)
    @example([("want", "u3", 1_00), ("work", "is overtaken"), ("teacher", "u3", 0.25)], 0)
    def holds(steps: list[tuple[str, ...]], ahead: float) -> None:
        with time_machine.travel(START, tick=False) as clock:
            story = Story(desk, clock, kind, ahead)
            for name, *values in steps:
                getattr(story, name)(*values)
            story.settle()
            for user in story.scores:
                story.proof(user)

    holds()


def test_a_hundred_changes_in_an_outage_cost_one_post(desk: Desk) -> None:
    with time_machine.travel(START, tick=False) as clock:
        school = desk.school()
        column = desk.column(school)
        score = desk.want(column, given=50_00)
        desk.drain()
        desk.network.cut = True
        for number in range(100):
            desk.want(column, given=51_00 + number)
            desk.pass_once()
            clock.shift(60)
        desk.network.cut = False
        school.posts.clear()
        clock.shift(timedelta(hours=1))
        desk.drain()
        assert [post["scoreGiven"] for post in school.posts] == [51.99]
        assert desk.score(score).state is ScoreState.SENT
