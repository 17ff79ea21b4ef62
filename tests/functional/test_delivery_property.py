"""Whatever people, platforms and dying workers do: in the end the gradebook shows what was last wanted."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests
import time_machine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from time_machine import Traveller

from integrations.http import PlatformHttp
from lti_app import create_app
from lti_app.clock import utc_now
from lti_app.delivery.worker import LEASE_SECONDS
from lti_app.extensions import db
from lti_app.gradebook.models import ScoreState
from tests.conftest import settings_for
from tests.fake_ags import Desk, FakeAgs, Fault, School, answer, failure

START = datetime(2026, 11, 23, 19, 0, tzinfo=UTC)
USERS = ("u1", "u2", "u3")
FAULTS: dict[str, Fault] = {
    "busy": answer(503),
    "wait": answer(429, **{"Retry-After": "40"}),
    "broken": answer(500),
    "silent": failure(requests.ReadTimeout("no answer")),
    "stale": answer(409),
    "unauthorized": answer(401),
    "refused": answer(400, b"[]"),
    "gone": answer(404, {"error": "no such column"}),
    "unpublished": answer(422, {"errors": "This assignment is still unpublished"}),
}
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("want"), st.sampled_from(USERS), st.integers(0, 100_00)),
        st.tuples(st.just("fault"), st.sampled_from(sorted(FAULTS))),
        st.tuples(st.just("work"), st.sampled_from(["lives", "dies", "is overtaken", "sees a change"])),
        st.tuples(st.just("wait"), st.sampled_from([1, 30, 91, 4000])),
    ),
    min_size=4,
    max_size=25,
)
NUMBERS = itertools.count()


@pytest.fixture
def desk(database_url: str, tmp_path: Path) -> Iterator[Desk]:
    network = FakeAgs()
    app = create_app(settings_for(tmp_path, database_url), http=PlatformHttp(adapter=network))
    yield Desk(app, network)
    with app.app_context():
        db.session.remove()
        db.engine.dispose()


class Story:
    """One random story at one school."""

    def __init__(self, desk: Desk, clock: Traveller, kind: str) -> None:
        self.desk, self.clock = desk, clock
        self.school: School = desk.school(f"s{next(NUMBERS)}.test", kind)
        self.column = desk.column(self.school)
        self.wanted: dict[str, int] = {}
        self.scores: dict[str, int] = {}

    def want(self, user: str, value: int) -> None:
        self.scores[user] = self.desk.want(self.column, user, value)
        self.wanted[user] = value

    def fault(self, name: str) -> None:
        self.school.faults.append(FAULTS[name])

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

    def _overtake(self, _: object) -> None:
        self.clock.shift(LEASE_SECONDS + 1)
        self.want("u1", (self.wanted.get("u1", 0) + 7_00) % 100_00)
        self.desk.pass_once()

    def settle(self) -> None:
        """The platform is well again, teachers press "try again", and time passes."""
        self.school.faults.clear()
        for score in self.scores.values():
            if self.desk.score(score).state is ScoreState.HELD:
                self.desk.retry(score)
        for _ in range(40):
            due = self.desk.next_due()
            if due is None:
                return
            self.clock.move_to(max(due, utc_now()))
            self.desk.drain()
        raise AssertionError("never settles")


@pytest.mark.parametrize("kind", ["generic", "moodle", "canvas"])
def test_the_gradebook_ends_as_wanted(desk: Desk, kind: str) -> None:
    @settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(STEPS)
    def holds(steps: list[tuple[str, ...]]) -> None:
        with time_machine.travel(START, tick=False) as clock:
            story = Story(desk, clock, kind)
            for name, *values in steps:
                getattr(story, name)(*values)
            story.settle()
            column = story.school.column_url("c1")
            assert story.school.grades == {
                (column, user): value / 100 for user, value in story.wanted.items()
            }
            for score in story.scores.values():
                row = desk.score(score)
                assert (row.state, row.sent_revision) == (ScoreState.SENT, row.revision)

    holds()
