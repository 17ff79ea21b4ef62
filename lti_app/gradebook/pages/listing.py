"""What the sync page shows of a class: its columns with their numbers, and its cells, a page at a time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, and_, case, func, or_, select

from lti_app.extensions import db
from lti_app.gradebook.locks import is_overridden
from lti_app.gradebook.models import Difference, LineItem, ReadingState, Score, ScoreState, Sends
from lti_app.gradebook.queries import ScoreRow, row_of, rows
from lti_app.organisations.models import Term
from lti_app.roster.models import LtiUser

PAGE = 50
MOST_EXPORTED = 20_000
"""Cells of one export; a class of 300 people with 40 columns has 12,000."""
UNDER_WAY = (ReadingState.QUEUED, ReadingState.RUNNING)
_BY_THE_LMS = (Difference.ROUNDED, Difference.CAPPED, Difference.LATE)


class Group(StrEnum):
    """The filters of the list. Every cell is in ALL and in one other: NEEDS somebody to act; on its way
    (SENDING); SENT; CHANGED in the LMS by a teacher, whose grade stands; or not to be sent now (UNSENT)."""

    ALL = "all"
    NEEDS = "needs"
    SENDING = "sending"
    SENT = "sent"
    CHANGED = "changed"
    UNSENT = "unsent"


SINGLE = [group for group in Group if group is not Group.ALL]


@dataclass(frozen=True, slots=True)
class Asked:
    """Which cells of which class are looked at. `words` are part of a name or of an SIS id."""

    context_pk: int
    group: Group = Group.ALL
    column_id: int | None = None
    words: str = ""


@dataclass(frozen=True, slots=True)
class Numbers:
    """Cells by group. `differing` of those sent are shown differently by the LMS's own rules, `kept_back` of
    those unsent until the teacher decides; `now` are due for the first time since they changed; `since` were
    written after the column was last read back."""

    groups: dict[Group, int] = field(default_factory=lambda: dict.fromkeys(Group, 0))
    differing: int = 0
    kept_back: int = 0
    now: int = 0
    since: int = 0


@dataclass(frozen=True, slots=True)
class ColumnRow:
    """A column of the class with its cells counted."""

    column: LineItem
    numbers: Numbers

    @property
    def is_read_now(self) -> bool:
        return self.column.reading in UNDER_WAY

    @property
    def releasable(self) -> int:
        """How many cells wait for the teacher to release them."""
        waits = self.column.sends is Sends.ON_RELEASE and not self.column.paused
        return self.numbers.kept_back if waits else 0


def columns(context_pk: int, now: datetime, *, column_id: int | None = None) -> list[ColumnRow]:
    """The columns of a class (or the one asked for), those with cells that need somebody first, in one
    statement."""
    query = (
        select(LineItem, *_counts(now))
        .outerjoin(Score, Score.line_item_id == LineItem.id)
        .where(LineItem.context_pk == context_pk)
        .group_by(LineItem.id)
    )
    if column_id is not None:
        query = query.where(LineItem.id == column_id)
    found = [ColumnRow(row[0], _numbers(row[1:])) for row in db.session.execute(query)]
    return sorted(found, key=_urgency)


def sum_of(found: Iterable[Numbers]) -> Numbers:
    """Several columns' numbers in one."""
    total = Numbers()
    for one in found:
        groups = {group: count + one.groups[group] for group, count in total.groups.items()}
        total = Numbers(
            groups,
            total.differing + one.differing,
            total.kept_back + one.kept_back,
            total.now + one.now,
            total.since + one.since,
        )
    return total


def numbers(asked: Asked, now: datetime) -> Numbers:
    """How many cells each filter shows, of the column and the words asked for."""
    query = (
        select(*_counts(now))
        .select_from(Score)
        .join(LineItem, LineItem.id == Score.line_item_id)
        .join(LtiUser, LtiUser.id == Score.lti_user_pk)
    )
    return _numbers(db.session.execute(query.where(_matches(replace(asked, group=Group.ALL)))).one())


def cells(asked: Asked, *, page: int = 1, size: int = PAGE) -> list[ScoreRow]:
    """A page of what is asked for: what needs somebody first, then by name, those without one last."""
    order = (_order_of_group, LtiUser.name.is_(None), LtiUser.name, LineItem.label, Score.id)
    query = rows().where(_matches(asked)).order_by(*order).limit(size).offset((page - 1) * size)
    return [row_of(row) for row in db.session.execute(query)]


def cells_by_person(asked: Asked) -> Sequence[tuple[str, ScoreRow]]:
    """All that is asked for, with the SIS id ("" without one), person by person; at most `MOST_EXPORTED`."""
    order = (LtiUser.name.is_(None), LtiUser.name, LtiUser.id, LineItem.label, Score.id)
    query = rows().add_columns(LtiUser.sis_id).where(_matches(asked)).order_by(*order).limit(MOST_EXPORTED)
    return [(row[-1] or "", row_of(row[:-1])) for row in db.session.execute(query)]


def among(asked: Asked) -> ColumnElement[bool]:
    """That a score is one of those asked for, for statements about Score alone."""
    found = (
        select(Score.id)
        .join(LineItem, LineItem.id == Score.line_item_id)
        .join(LtiUser, LtiUser.id == Score.lti_user_pk)
        .where(_matches(asked))
    )
    return Score.id.in_(found)


def under_way(context_pk: int, now: datetime) -> tuple[int, int]:
    """How many columns are being read, and how many cells are being sent for the first time, in a class."""
    reading = select(func.count()).where(LineItem.context_pk == context_pk, LineItem.reading.in_(UNDER_WAY))
    sending = (
        select(func.count())
        .select_from(Score)
        .join(LineItem, LineItem.id == Score.line_item_id)
        .where(LineItem.context_pk == context_pk, _due(now))
    )
    row = db.session.execute(select(reading.scalar_subquery(), sending.scalar_subquery())).one()
    return int(row[0]), int(row[1])


def column_in_context(column_id: int, context_pk: int) -> LineItem | None:
    """The column, if it is one of this class."""
    return db.session.scalar(
        select(LineItem).where(LineItem.id == column_id, LineItem.context_pk == context_pk)
    )


def credits_column(context_pk: int, day: date) -> LineItem | None:
    """The class's column of the credits of the term that `day` is in."""
    return db.session.scalar(
        select(LineItem)
        .join(Term, Term.id == LineItem.term_id)
        .where(LineItem.context_pk == context_pk, Term.starts_on <= day, Term.ends_on >= day)
    )


_waits_for_column = and_(
    Score.state == ScoreState.WAITING,
    LineItem.is_unmade,
    LineItem.sends == Sends.AT_ONCE,
    LineItem.paused.is_(False),
)
_group_of_cell = case(
    (is_overridden(), str(Group.CHANGED)),
    (Score.state == ScoreState.HELD, str(Group.NEEDS)),
    (Score.state == ScoreState.SENT, str(Group.SENT)),
    (or_(Score.due_at.is_not(None), Score.outcome.is_not(None), _waits_for_column), str(Group.SENDING)),
    # Not meant to be sent yet, kept back by the teacher, or dropped.
    else_=str(Group.UNSENT),
)
_order_of_group = case(
    {str(group): number for number, group in enumerate((Group.NEEDS, Group.SENDING))},
    value=_group_of_cell,
    else_=9,
)


def _matches(asked: Asked) -> ColumnElement[bool]:
    conditions: list[ColumnElement[bool]] = [LineItem.context_pk == asked.context_pk]
    if asked.column_id is not None:
        conditions.append(Score.line_item_id == asked.column_id)
    if asked.group is not Group.ALL:
        conditions.append(_group_of_cell == str(asked.group))
    if asked.words:
        conditions.append(
            or_(
                LtiUser.name.icontains(asked.words, autoescape=True),
                LtiUser.sis_id.icontains(asked.words, autoescape=True),
            )
        )
    return and_(*conditions)


def _due(now: datetime) -> ColumnElement[bool]:
    return and_(Score.state == ScoreState.WAITING, Score.due_at <= now, Score.attempts == 0)


def _counts(now: datetime) -> list[Any]:
    """What `_numbers` reads, of a statement with Score and LineItem."""
    of_sent = and_(_group_of_cell == str(Group.SENT), Score.difference.in_(_BY_THE_LMS))
    kept_back = and_(Score.state == ScoreState.WAITING, Score.due_at.is_(None), Score.outcome.is_(None))
    groups = [_group_of_cell == str(group) for group in SINGLE]
    since = and_(_group_of_cell == str(Group.SENT), Score.sent_at > LineItem.read_at)
    conditions = [Score.id.is_not(None), *groups, of_sent, kept_back, _due(now), since]
    # An outer join without cells has one row, with nothing in it.
    return [func.count(Score.id).filter(condition) for condition in conditions]


def _numbers(counted: Any) -> Numbers:
    *groups, differing, kept_back, now, since = counted
    return Numbers(dict(zip((Group.ALL, *SINGLE), groups, strict=True)), differing, kept_back, now, since)


def _urgency(row: ColumnRow) -> tuple[bool, bool, str, int]:
    groups = row.numbers.groups
    return not groups[Group.NEEDS], not groups[Group.SENDING], row.column.label, row.column.id
