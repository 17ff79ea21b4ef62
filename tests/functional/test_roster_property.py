"""Whatever launches, rosters and troubles follow each other: nobody is lost by an incomplete reading."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update
from time_machine import Traveller

from integrations.http import PlatformHttp
from lti_app import create_app
from lti_app.extensions import db
from lti_app.roster.models import LtiUser
from lti_app.roster.sync_models import RosterSync, SyncState
from tests.browsing import Visitor
from tests.conftest import settings_for
from tests.fake_platform import MEMBERSHIP, FakePlatform, User
from tests.functional.roster_steps import class_list, member, read, sync_now
from tests.functional.test_roster_sync import NOON

SUBS = tuple(f"s{number}" for number in range(6))
ROLES = {"Learner": "learner", "Instructor": "instructor", "Mentor": "mentor"}
FAULTS = {
    "busy": lambda _: (503, b"", {}),
    "html": lambda _: (200, b"<html>", {}),
    "denied": lambda _: (403, b"", {}),
    "nothing": lambda _: (200, {"members": None}, {}),
}
SOME = st.sets(st.sampled_from(SUBS), max_size=3)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("launch"), st.sampled_from(SUBS), st.sampled_from(sorted(ROLES))),
        st.tuples(
            st.just("day"),
            st.fixed_dictionaries(
                {
                    "join": st.dictionaries(
                        st.sampled_from(SUBS), st.sampled_from(sorted(ROLES)), max_size=3
                    ),
                    "leave": SOME,
                    "said_gone": SOME,
                    "odd": st.sampled_from([False, False, True]),
                    "fault": st.sampled_from([None, None, *sorted(FAULTS)]),
                }
            ),
        ),
        st.tuples(st.just("decide"), st.booleans()),
    ),
    min_size=2,
    max_size=10,
)
NUMBERS = itertools.count()


@dataclass
class Someone:
    """What should be true of one person."""

    active: bool = True
    role: str = ""
    launched: bool = False
    by_roster: bool = False


@dataclass
class Model:
    """The rules of docs/decisions/0007-roster.md, in the fewest words."""

    people: dict[str, Someone] = field(default_factory=dict)
    leavers: set[str] = field(default_factory=set)
    known: int = 0

    def launch(self, sub: str, role: str) -> None:
        one = self.people.setdefault(sub, Someone())
        one.active, one.role, one.launched = True, role, True

    def complete(self, listed: dict[str, str], gone: set[str], *, odd: bool) -> str | None:
        """A reading that came to its end; returns why it waits, if it does."""
        for sub, role in listed.items():
            one = self.people.setdefault(sub, Someone(active=False))
            if not one.launched or not one.active:
                one.role = role
            one.active = one.by_roster = True
        for sub in gone & self.people.keys():
            self.people[sub].by_roster = True
        self.leavers = {
            sub for sub, one in self.people.items() if one.active and one.by_roster and sub not in listed
        }
        if not listed and not self.known:
            return "nobody-listed"
        if self.leavers and not listed:
            return "empty"
        if self.leavers and odd:
            return "unreadable"
        if len(self.leavers) > 0.3 * self.known:
            return "many-leave"
        self.settle(apply=True)
        return None

    def settle(self, *, apply: bool) -> None:
        for sub in self.leavers if apply else ():
            self.people[sub].active = False
        self.known = sum(one.active and one.by_roster for one in self.people.values())


class School:
    """A class on a database that several examples share; each example has a class of its own."""

    def __init__(self, app: Flask, platform: FakePlatform, clock: Traveller) -> None:
        self.class_ = f"class-{next(NUMBERS)}"
        self.app, self.platform, self.clock = app, platform, clock
        self.visit = Visitor(app, platform)
        self.model = Model()
        self.listed: dict[str, str] = {}
        self.gone: set[str] = set()
        self.ids: dict[str, int] = {}
        self.launched: set[str] = set()
        with app.app_context():
            db.session.execute(update(RosterSync).values(due_at=None))
            db.session.commit()
        platform.rosters[self.class_] = []
        self.launch("teacher", "Instructor")

    def launch(self, name: str, role: str) -> Any:
        sub = f"{self.class_}-{name}"
        self.platform.users[sub] = User(sub, name, [MEMBERSHIP + role])
        page = self.visit(sub, f"demo/{self.class_}")
        self.model.launch(sub, ROLES[role])
        self.launched.add(sub)
        return page

    def step(self, kind: str, *values: Any) -> None:
        if kind == "launch":
            self.launch(*values)
        elif kind == "day":
            self.day(**values[0])
        else:
            self.decide(values[0])

    def day(
        self, join: dict[str, str], leave: set[str], said_gone: set[str], odd: bool, fault: str | None
    ) -> None:
        """The list changes and is read: first, with a fault, in vain."""
        for sub in leave | said_gone:
            self.listed.pop(f"{self.class_}-{sub}", None)
        self.gone = {f"{self.class_}-{sub}" for sub in said_gone - join.keys()}
        self.listed |= {f"{self.class_}-{sub}": role for sub, role in join.items()}
        entries: list[Any] = [member(sub, role) for sub, role in self.listed.items()]
        entries += [member(sub, status="Deleted") for sub in sorted(self.gone)]
        entries += [{"user_id": 7}] if odd else []
        self.platform.rosters[self.class_] = entries
        if fault is not None:
            before = class_list(self.app, self.class_)
            self.platform.roster_faults = [FAULTS[fault]] * 2
            self.read_tomorrow()
            assert class_list(self.app, self.class_) == before
            self.platform.roster_faults = []
        self.launched.clear()
        self.read_tomorrow()
        listed = {sub: ROLES[role] for sub, role in self.listed.items()}
        waits = self.model.complete(listed, self.gone, odd=odd)
        sync = sync_now(self.app, self.class_)
        assert sync.code == waits

    def read_tomorrow(self) -> None:
        self.clock.shift(timedelta(hours=28))
        read(self.app)

    def decide(self, apply: bool) -> None:
        sync = sync_now(self.app, self.class_)
        page = self.launch("teacher", "Instructor")
        if sync.state is not SyncState.HELD:
            return
        page.post("/members/decide", {"run": str(sync.run), "apply": str(int(apply))})
        # Who launched since the reading began is no leaver, whatever the list said.
        self.model.leavers -= self.launched
        self.model.settle(apply=apply)

    def check(self) -> None:
        found = class_list(self.app, self.class_)
        wanted = {
            sub: ("active" if one.active else "inactive", one.role) for sub, one in self.model.people.items()
        }
        assert {sub: row[:2] for sub, row in found.items()} == wanted
        with self.app.app_context():
            rows = db.session.execute(select(LtiUser.sub, LtiUser.id).where(LtiUser.sub.in_(found)))
            ids = {row.sub: row.id for row in rows}
        assert self.ids.items() <= ids.items(), "somebody became another user"
        self.ids = ids


@pytest.fixture
def shared(sqlite_url: str, tmp_path: Path) -> Iterator[tuple[Flask, FakePlatform]]:
    platform = FakePlatform()
    app = create_app(settings_for(tmp_path, sqlite_url), http=PlatformHttp(adapter=platform))
    app.testing = True
    yield app, platform
    with app.app_context():
        db.session.remove()
        db.engine.dispose()


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)
@given(steps=STEPS)
def test_the_class_is_what_launches_and_complete_lists_make_of_it(
    shared: tuple[Flask, FakePlatform], steps: list[tuple[Any, ...]]
) -> None:
    app, platform = shared
    platform.rosters.clear()
    with time_machine.travel(NOON, tick=False) as clock:
        school = School(app, platform, clock)
        first = dict.fromkeys(SUBS[:4], "Learner")
        school.day(join=first, leave=set(), said_gone=set(), odd=False, fault=None)
        for step in steps:
            school.step(*step)
            school.check()
