"""How the sending is going, in figures: for the LMS administrator's page, the metrics and the operator.

Each function costs a fixed number of queries, whatever the number of registrations, columns and scores.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, and_, case, func, or_, select

from integrations.terms import Outcome
from lti_app.delivery.models import SINCE_EVER, DeliverySlot, DeliveryTally
from lti_app.extensions import db
from lti_app.gradebook.models import LineItem, ReadingState, Score, ScoreState, Sends
from lti_app.registrations.models import Registration, RegistrationStatus

_TEACHERS = frozenset({Outcome.WAITING_FOR_PUBLISH})


class Place(StrEnum):
    """Where a score that is not sent lies: it goes by itself, it needs somebody, or a teacher keeps it."""

    UNSENT = "unsent"
    HELD = "held"
    WITHHELD = "withheld"


@dataclass(frozen=True, slots=True)
class Pile:
    """Scores that are not sent for the same reason: how many, when the oldest result was reached, and when
    the first of them is due (None: not by itself)."""

    count: int
    oldest: datetime
    first_due: datetime | None


@dataclass(frozen=True, slots=True)
class QueueFacts:
    """How the sending to one platform is going. The piles are by outcome; None was not tried yet."""

    registration: Registration
    slot: DeliverySlot | None
    unsent: Mapping[Outcome | None, Pile]
    held: Mapping[Outcome | None, Pile]
    withheld: int
    readings: Mapping[ReadingState, int]
    columns_due: datetime | None
    """When the first column wants to be looked after."""

    @property
    def unsent_count(self) -> int:
        return sum(pile.count for pile in self.unsent.values())

    @property
    def held_count(self) -> int:
        return sum(pile.count for pile in self.held.values())

    @property
    def needing_somebody(self) -> int:
        """Held scores without those where a teacher's own grade stands, which is as it should be."""
        return sum(pile.count for outcome, pile in self.held.items() if outcome is not Outcome.OVERRIDDEN)

    @property
    def oldest(self) -> datetime | None:
        """When the oldest result that is still to be sent was reached."""
        return min((pile.oldest for pile in self.unsent.values()), default=None)

    @property
    def oldest_of_ours(self) -> datetime | None:
        """The same without what waits for a teacher to publish a column."""
        return min(
            (pile.oldest for outcome, pile in self.unsent.items() if outcome not in _TEACHERS), default=None
        )

    def is_resting(self, now: datetime) -> bool:
        """Whether the platform is left alone for the moment."""
        return self.slot is not None and self.slot.blocked_until is not None and self.slot.blocked_until > now

    def lag(self, now: datetime) -> dict[str, float]:
        """Seconds by which scores and columns are overdue although the platform may be called: more than a
        few mean that no worker runs, or too few."""
        rest = self.slot.blocked_until if self.slot else None
        scores = [pile.first_due for pile in (*self.unsent.values(), *self.held.values())]
        firsts = {
            "scores": min((due for due in scores if due is not None), default=None),
            "columns": self.columns_due,
        }
        if self.registration.status is not RegistrationStatus.ACTIVE:
            return dict.fromkeys(firsts, 0.0)
        return {name: _overdue(due, rest, now) for name, due in firsts.items()}


@dataclass(slots=True)
class _Counts:
    unsent: dict[Outcome | None, Pile] = field(default_factory=dict)
    held: dict[Outcome | None, Pile] = field(default_factory=dict)
    withheld: int = 0
    readings: dict[ReadingState, int] = field(default_factory=dict)
    columns_due: datetime | None = None


def is_withheld() -> ColumnElement[bool]:
    """On Score joined with LineItem: the teacher paused the column, or has not released the result yet."""
    return _is_kept_back() & or_(LineItem.paused, LineItem.sends == Sends.ON_RELEASE)


def _is_kept_back() -> ColumnElement[bool]:
    return and_(Score.state == ScoreState.WAITING, Score.due_at.is_(None), Score.outcome.is_(None))


def _waits_for_its_column() -> ColumnElement[bool]:
    """A column of credits that is not made yet: who makes it sends what waits."""
    return and_(_is_kept_back(), LineItem.is_unmade)


def queue_facts(registration_id: int | None = None) -> list[QueueFacts]:
    """Of every registration (or of one), by name; one without scores is there too. Three queries."""
    counts: dict[int, _Counts] = {}
    _count_scores(counts, registration_id)
    _count_columns(counts, registration_id)
    query = select(Registration, DeliverySlot).outerjoin(
        DeliverySlot, DeliverySlot.registration_id == Registration.id
    )
    if registration_id is not None:
        query = query.where(Registration.id == registration_id)
    found = []
    for registration, slot in db.session.execute(query.order_by(Registration.name)):
        known = counts.get(registration.id, _Counts())
        found.append(
            QueueFacts(
                registration,
                slot,
                known.unsent,
                known.held,
                known.withheld,
                known.readings,
                known.columns_due,
            )
        )
    return found


def ended_since_ever() -> list[tuple[int, str, int]]:
    """(registration, outcome, how many deliveries ended so), ever."""
    tally = DeliveryTally
    query = select(tally.registration_id, tally.outcome, tally.count).where(tally.bucket == SINCE_EVER)
    rows = db.session.execute(query.order_by(tally.registration_id, tally.outcome))
    return [(owner, outcome, count) for owner, outcome, count in rows]


def tallies_since(registration_id: int, moment: datetime) -> list[tuple[datetime, str, int]]:
    """(beginning of a ten-minute window, outcome, how many), of windows that began at `moment` or later."""
    tally = DeliveryTally
    query = select(tally.bucket, tally.outcome, tally.count).where(
        tally.registration_id == registration_id, tally.bucket >= moment, tally.bucket != SINCE_EVER
    )
    return [(bucket, outcome, count) for bucket, outcome, count in db.session.execute(query)]


def _count_scores(counts: dict[int, _Counts], registration_id: int | None) -> None:
    place = case(
        (is_withheld(), Place.WITHHELD),
        (Score.state == ScoreState.HELD, Place.HELD),
        # What has no time and no outcome is not meant to be sent yet.
        (or_(~_is_kept_back(), _waits_for_its_column()), Place.UNSENT),
    )
    query: Any = (
        select(
            Score.registration_id,
            place.label("place"),
            Score.outcome,
            func.count(),
            func.min(Score.submitted_at),
            func.min(Score.due_at),
        )
        .join(LineItem, LineItem.id == Score.line_item_id)
        .where(Score.state.in_((ScoreState.WAITING, ScoreState.HELD)))
        .group_by(Score.registration_id, "place", Score.outcome)
    )
    if registration_id is not None:
        query = query.where(Score.registration_id == registration_id)
    for owner, place_, outcome, count, oldest, first_due in db.session.execute(query):
        known = counts.setdefault(owner, _Counts())
        if place_ == Place.WITHHELD:
            known.withheld += count
        elif place_ is not None:
            piles = known.held if place_ == Place.HELD else known.unsent
            piles[outcome] = Pile(count, oldest, first_due)


def _count_columns(counts: dict[int, _Counts], registration_id: int | None) -> None:
    query: Any = select(
        LineItem.registration_id, LineItem.reading, func.count(), func.min(LineItem.due_at)
    ).group_by(LineItem.registration_id, LineItem.reading)
    if registration_id is not None:
        query = query.where(LineItem.registration_id == registration_id)
    for owner, reading, count, first_due in db.session.execute(query):
        known = counts.setdefault(owner, _Counts())
        known.readings[reading] = count
        if first_due is not None:
            known.columns_due = min(first_due, known.columns_due or first_due)


def _overdue(due: datetime | None, rest: datetime | None, now: datetime) -> float:
    if due is None:
        return 0.0
    return max((now - max(due, rest or due)).total_seconds(), 0.0)
