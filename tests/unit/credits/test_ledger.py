"""Booking against an independent oracle, on both databases."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from lti_app.credits import queries, rulebook
from lti_app.credits.models import (
    Category,
    CreditAccount,
    CreditBalance,
    CreditEntry,
    CreditEvent,
    SourceKind,
)
from lti_app.credits.rules import Rule
from lti_app.credits.services import NotAParent, book, record_event
from lti_app.extensions import db
from lti_app.organisations.models import District, School
from lti_app.organisations.services import school_named
from lti_app.roster.models import Person, PersonKind

ZONE = "Asia/Shanghai"
# Around the border of two terms, which lies inside a week: 1 February 2026 is a Sunday.
FIRST = date(2026, 1, 26)
DAYS = st.integers(0, 13).map(lambda days: FIRST + timedelta(days=days))
numbers = itertools.count()


def at(day: date, hour: int) -> datetime:
    return datetime(day.year, day.month, day.day, hour, 30, tzinfo=ZoneInfo(ZONE))


def new_school() -> School:
    return school_named("实验小学", district=f"教联体 {next(numbers)}", time_zone=ZONE)


def add_rule(school: School, rule: Rule, first: date, last: date | None = None) -> int:
    """A rule of the school's own district."""
    return rulebook.add_rule(
        rule,
        kind=SourceKind.COURSE,
        category=Category.COURSE,
        valid_from=first,
        valid_until=last,
        district=db.session.scalar(select(District.name).where(District.id == school.district_id)),
    ).id


def new_parent() -> int:
    person = Person(kind=PersonKind.PARENT)
    db.session.add(person)
    db.session.flush()
    return person.id


# ---- The oracle: its own arithmetic, its own memory ------------------------------------------------------


@dataclass
class Source:
    day: date
    quantity: int
    amount: int = 0
    rule: Rule | None = None


@dataclass
class Oracle:
    sources: dict[str, Source] = field(default_factory=dict)
    rules: list[tuple[date, Rule]] = field(default_factory=list)

    def record(self, name: str, day: date, quantity: int) -> None:
        source = self.sources.get(name)
        if source is not None and source.quantity == quantity:
            return
        source = self.sources.setdefault(name, Source(day, quantity))
        source.quantity = quantity
        rule = source.rule or self._rule_on(source.day)
        full = int((Decimal(quantity) * rule.rate / 100).to_integral_value(ROUND_HALF_UP))
        others = [other for key, other in self.sources.items() if key != name]
        allowed = full
        for cap, window in (
            (rule.cap_day, self._day),
            (rule.cap_week, self._week),
            (rule.cap_term, self._term),
        ):
            if cap is not None:
                used = sum(other.amount for other in others if window(other.day) == window(source.day))
                allowed = min(allowed, max(0, cap - used))
        new = max(allowed, min(source.amount, full))
        if new != source.amount:
            source.rule = rule
        source.amount = new

    def _rule_on(self, day: date) -> Rule:
        return next((rule for since, rule in reversed(self.rules) if since <= day), Rule(100))

    @staticmethod
    def _day(day: date) -> object:
        return day

    @staticmethod
    def _week(day: date) -> object:
        return day.isocalendar()[:2]

    @staticmethod
    def _term(day: date) -> object:
        return "autumn" if day <= date(2026, 1, 31) else "spring"

    def by_term(self) -> dict[str, int]:
        sums = {"autumn": 0, "spring": 0}
        for source in self.sources.values():
            sums[str(self._term(source.day))] += source.amount
        return sums


@dataclass(frozen=True)
class Happens:
    source: int
    day: date
    hour: int
    quantity: int


@dataclass(frozen=True)
class RuleChanges:
    since: date
    rule: Rule


@dataclass(frozen=True)
class Repeats:
    which: int


caps = st.none() | st.integers(50, 300)
some_rules = st.builds(Rule, st.integers(0, 200), caps, caps, caps)
steps = st.lists(
    st.builds(Happens, st.integers(0, 3), DAYS, st.integers(0, 23), st.integers(0, 300))
    | st.builds(RuleChanges, DAYS, some_rules)
    | st.builds(Repeats, st.integers(0, 50)),
    max_size=16,
)


class Bank:
    """Drives the services and the oracle side by side."""

    def __init__(self) -> None:
        self.school = new_school()
        self.person_id = new_parent()
        self.oracle = Oracle()
        self.done: list[Happens] = []
        self.rule_id: int | None = None

    def take(self, step: Happens | RuleChanges | Repeats) -> None:
        if isinstance(step, RuleChanges):
            self._change_rule(step)
        elif isinstance(step, Repeats):
            if self.done:
                before = self.entries()
                again = self.done[step.which % len(self.done)]
                latest = [h for h in self.done if h.source == again.source][-1]
                self._happen(latest)
                assert self.entries() == before, "a repeat booked something"
        else:
            self._happen(step)
            self.done.append(step)

    def _happen(self, step: Happens) -> None:
        record_event(
            self.person_id,
            kind=SourceKind.COURSE,
            source_id=f"course-{step.source}",
            quantity=step.quantity,
            occurred_at=at(step.day, step.hour),
            school=self.school,
        )
        self.oracle.record(f"course-{step.source}", step.day, step.quantity)

    def _change_rule(self, step: RuleChanges) -> None:
        if self.oracle.rules and step.since <= self.oracle.rules[-1][0]:
            return
        before = self.entries()
        if self.rule_id is not None:
            rulebook.end_rule(self.rule_id, step.since - timedelta(days=1))
        self.rule_id = add_rule(self.school, step.rule, step.since)
        self.oracle.rules.append((step.since, step.rule))
        assert self.entries() == before, "a change of rule rewrote what was earned"

    def entries(self) -> list[tuple[str, int, int]]:
        rows = db.session.execute(
            select(CreditEntry.source_id, CreditEntry.revision, CreditEntry.amount)
            .join(CreditAccount, CreditAccount.id == CreditEntry.account_id)
            .where(CreditAccount.person_id == self.person_id)
            .order_by(CreditEntry.id)
        )
        return [tuple(row) for row in rows]  # type: ignore[misc]

    def balances(self) -> dict[str, int]:
        found = {"autumn": 0, "spring": 0}
        for on, name in ((date(2026, 1, 31), "autumn"), (date(2026, 2, 1), "spring")):
            term = queries.term_on(self.school.district_id, on)
            if term is not None:
                found[name] = sum(row.term for row in queries.totals(self.person_id, term.id))
        return found


@pytest.fixture
def rolled_back(bank: Flask):
    """Each Hypothesis example runs in a transaction that is rolled back."""
    yield
    db.session.rollback()


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=some_rules, steps=steps)
def test_balances_are_the_entries_are_the_oracle(
    rolled_back: None, first: Rule, steps: list[Happens | RuleChanges | Repeats]
) -> None:
    db.session.rollback()
    bank = Bank()
    for step in (RuleChanges(FIRST + timedelta(days=1), first), *steps):
        bank.take(step)

    per_source: dict[str, int] = {}
    for source_id, revision, amount in bank.entries():
        per_source[source_id] = per_source.get(source_id, 0) + amount
        assert amount != 0
        assert revision >= 1
    assert per_source == {
        name: source.amount
        for name, source in bank.oracle.sources.items()
        if source.amount or name in per_source
    }
    assert bank.balances() == bank.oracle.by_term()
    assert [difference for page in queries.audit() for difference in page] == []


# ---- Single promises ------------------------------------------------------------------------------------


def happen(person_id: int, school: School, source: str, quantity: int, moment: datetime) -> CreditEvent:
    return record_event(
        person_id,
        kind=SourceKind.COURSE,
        source_id=source,
        quantity=quantity,
        occurred_at=moment,
        school=school,
        label="亲子共读",
    )


def amounts(person_id: int) -> list[int]:
    return [line.amount for line in reversed(queries.lines(person_id, size=1000))]


def test_corrections_go_both_ways_and_a_repeat_books_nothing(bank: Flask) -> None:
    school, parent = new_school(), new_parent()
    for quantity in (150, 150, 200, 200, 0, 50):
        happen(parent, school, "course-1", quantity, at(FIRST, 12))
    assert amounts(parent) == [150, 50, -200, 50]
    assert [line.balance for line in queries.lines(parent)] == [50, 0, 200, 150]


def test_an_event_is_recorded_when_no_rule_pays_and_can_be_booked_later(bank: Flask) -> None:
    school, parent = new_school(), new_parent()
    event = happen(parent, school, "course-1", 150, datetime(1999, 12, 31, 12, tzinfo=ZoneInfo(ZONE)))
    assert event.quantity == 150
    assert amounts(parent) == []
    add_rule(school, Rule(200), date(1999, 1, 1), date(1999, 12, 31))
    happen(parent, school, "course-1", 150, at(FIRST, 12))
    assert amounts(parent) == [], "a repeat books nothing"
    book(event)
    assert amounts(parent) == [300]


@pytest.mark.parametrize(
    ("utc", "day"),
    [("2026-01-31T15:59:59", date(2026, 1, 31)), ("2026-01-31T16:00:00", date(2026, 2, 1))],
)
def test_the_day_and_the_term_are_the_schools(bank: Flask, utc: str, day: date) -> None:
    school, parent = new_school(), new_parent()
    event = happen(parent, school, "course-1", 100, datetime.fromisoformat(utc + "+00:00"))
    term = queries.term_on(school.district_id, day)
    assert event.day == day
    assert term is not None
    assert event.term_id == term.id
    assert [row.term for row in queries.totals(parent, term.id)] == [100]


def test_two_schools_of_one_parent_share_the_account(bank: Flask) -> None:
    here, there, parent = new_school(), new_school(), new_parent()
    happen(parent, here, "course-1", 100, at(FIRST, 9))
    happen(parent, there, "course-2", 50, at(FIRST, 9))
    assert [row.total for row in queries.totals(parent, None)] == [150]
    assert (
        db.session.scalar(
            select(func.count()).select_from(CreditAccount).where(CreditAccount.person_id == parent)
        )
        == 1
    )


def test_a_smaller_source_leaves_the_others_as_they_are(bank: Flask) -> None:
    school, parent = new_school(), new_parent()
    add_rule(school, Rule(100, cap_day=100), FIRST)
    happen(parent, school, "first", 80, at(FIRST, 9))
    happen(parent, school, "second", 80, at(FIRST, 10))
    happen(parent, school, "first", 10, at(FIRST, 9))
    happen(parent, school, "second", 80, at(FIRST, 10))
    assert amounts(parent) == [80, 20, -70]


def test_a_source_keeps_the_rule_that_first_paid_for_it(bank: Flask) -> None:
    school, parent = new_school(), new_parent()
    happen(parent, school, "old", 100, at(FIRST, 9))
    add_rule(school, Rule(50), FIRST)
    happen(parent, school, "new", 100, at(FIRST, 9))
    happen(parent, school, "old", 150, at(FIRST, 9))
    assert amounts(parent) == [100, 50, 50]


def test_a_week_is_full_whichever_of_its_days_came_first(bank: Flask) -> None:
    school, parent = new_school(), new_parent()
    add_rule(school, Rule(100, cap_week=100), FIRST)
    monday, sunday = date(2026, 2, 2), date(2026, 2, 8)
    happen(parent, school, "sunday", 80, at(sunday, 23))
    happen(parent, school, "monday", 80, at(monday, 0))
    happen(parent, school, "next", 80, at(sunday + timedelta(days=1), 0))
    happen(parent, school, "before", 80, at(monday - timedelta(days=1), 23))
    assert amounts(parent) == [80, 20, 80, 80]


def test_a_correction_upward_uses_the_room_that_is_left_and_loses_nothing(bank: Flask) -> None:
    school, parent = new_school(), new_parent()
    add_rule(school, Rule(100, cap_day=100), FIRST)
    happen(parent, school, "first", 60, at(FIRST, 9))
    happen(parent, school, "first", 90, at(FIRST, 9))
    happen(parent, school, "first", 150, at(FIRST, 9))
    assert amounts(parent) == [60, 30, 10]


def test_pupils_never_earn(bank: Flask) -> None:
    pupil = Person(kind=PersonKind.PUPIL)
    db.session.add(pupil)
    db.session.flush()
    with pytest.raises(NotAParent):
        happen(pupil.id, new_school(), "course-1", 100, at(FIRST, 9))


def test_the_audit_finds_a_tampered_a_missing_and_an_invented_balance(bank: Flask) -> None:
    school = new_school()
    tampered, missing, invented, sound = (new_parent() for _ in range(4))
    for parent in (tampered, missing, sound):
        happen(parent, school, "course-1", 100, at(FIRST, 9))
    account = {
        parent: db.session.scalars(
            select(CreditAccount.id).where(CreditAccount.person_id == parent)
        ).one_or_none()
        for parent in (tampered, missing)
    }
    term = queries.term_on(school.district_id, FIRST)
    assert term is not None
    empty = CreditAccount(person_id=invented)
    db.session.add(empty)
    db.session.flush()
    db.session.add(CreditBalance(account_id=empty.id, term_id=term.id, category=Category.COURSE, amount=5))
    db.session.execute(
        db.update(CreditBalance).where(CreditBalance.account_id == account[tampered]).values(amount=999)
    )
    db.session.execute(db.delete(CreditBalance).where(CreditBalance.account_id == account[missing]))
    found = {
        (difference.account_id, difference.kept, difference.entries)
        for page in queries.audit(size=2)
        for difference in page
    }
    assert found == {(account[tampered], 999, 100), (account[missing], 0, 100), (empty.id, 5, 0)}
