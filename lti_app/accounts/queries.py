"""Which expected guardians have come."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Select, exists, func, select

from lti_app.accounts.access import Reach, chunks
from lti_app.accounts.models import ExpectedChild, ExpectedGuardian
from lti_app.extensions import db
from lti_app.registrations.models import Registration
from lti_app.roster.models import LtiUser, Membership

PAGE = 50


class Stage(StrEnum):
    """How far a guardian has come. KNOWN: the platform's roster has the account, nobody opened it yet."""

    ABSENT = "absent"
    KNOWN = "known"
    ARRIVED = "arrived"


@dataclass(frozen=True, slots=True)
class ClassCount:
    """A class of the school's list: guardians invited, with an account, and arrived."""

    label: str
    invited: int
    known: int
    arrived: int


@dataclass(frozen=True, slots=True)
class Expected:
    """A guardian with one of their pupils."""

    class_label: str
    pupil_number: str
    relation: str
    number: str
    name: str | None
    invited_at: datetime
    stage: Stage


def counts(reach: Reach) -> ClassCount:
    """All guardians whom somebody may see; each counts once, however many children they have."""
    row = db.session.execute(_counts(reach)).one()
    return ClassCount("", *row)


def classes(reach: Reach) -> list[ClassCount]:
    """The same for each class of the list, by name."""
    query = _counts(reach, ExpectedChild.class_label).group_by(ExpectedChild.class_label)
    return [ClassCount(*row) for row in db.session.execute(query.order_by(ExpectedChild.class_label))]


def expected(
    reach: Reach, *, class_label: str | None, absent: bool, page: int | None, size: int = PAGE
) -> Sequence[Expected]:
    """Guardians by class and pupil. `absent`: only those who have not come; `page` None: all of them."""
    query = _visible(
        reach,
        ExpectedChild.class_label,
        ExpectedChild.pupil_number,
        ExpectedChild.relation,
        ExpectedGuardian.number,
        ExpectedGuardian.name,
        ExpectedGuardian.invited_at,
        _has_come(),
        _has_account(),
    )
    if class_label is not None:
        query = query.where(ExpectedChild.class_label == class_label)
    if absent:
        query = query.where(~_has_come())
    query = query.order_by(ExpectedChild.class_label, ExpectedChild.pupil_number, ExpectedChild.slot)
    if page is not None:
        query = query.limit(size).offset((page - 1) * size)
    found = []
    for label, pupil, relation, number, name, invited_at, arrived, known in db.session.execute(query):
        stage = Stage.ARRIVED if arrived else Stage.KNOWN if known else Stage.ABSENT
        found.append(Expected(label, pupil, relation, number, name, invited_at, stage))
    return found


def number_of(reach: Reach, *, class_label: str | None, absent: bool) -> int:
    """How many rows `expected` has."""
    query = _visible(reach, func.count())
    if class_label is not None:
        query = query.where(ExpectedChild.class_label == class_label)
    if absent:
        query = query.where(~_has_come())
    return int(db.session.scalars(query).one())


def arrived_ids(school_id: int, guardian_ids: Collection[int]) -> set[int]:
    """Those of the expected guardians who have come."""
    found: set[int] = set()
    for some in chunks(guardian_ids):
        query = select(ExpectedGuardian.id).where(
            ExpectedGuardian.school_id == school_id,
            ExpectedGuardian.id.in_(some),
            _has_come(),
        )
        found.update(db.session.scalars(query))
    return found


def arrived_pairs(reach: Reach) -> Iterator[tuple[str, str, str]]:
    """(pupil number, guardian's number, relation) of all who have an account."""
    query = _visible(reach, ExpectedChild.pupil_number, ExpectedGuardian.number, ExpectedChild.relation)
    query = query.where(_has_account()).order_by(ExpectedChild.class_label, ExpectedChild.pupil_number)
    yield from (tuple(row) for row in db.session.execute(query))


def _counts(reach: Reach, *columns: Any) -> Select[Any]:
    guardian = ExpectedGuardian.id.distinct()
    return _visible(
        reach,
        *columns,
        func.count(guardian),
        func.count(guardian).filter(_has_account()),
        func.count(guardian).filter(_has_come()),
    )


def _visible(reach: Reach, *columns: Any) -> Select[Any]:
    """What is expected at the school; of a teacher's own pupils alone, where the reach is no school."""
    query = (
        select(*columns)
        .select_from(ExpectedChild)
        .join(ExpectedGuardian, ExpectedGuardian.id == ExpectedChild.guardian_id)
        .where(ExpectedChild.school_id == reach.school_id)
    )
    if not reach.whole:
        query = query.where(ExpectedChild.pupil_number.in_(reach.pupil_numbers()))
    return query


def _has_account() -> ColumnElement[bool]:
    return exists(_logins())


def _has_come() -> ColumnElement[bool]:
    return exists(
        _logins()
        .join(Membership, Membership.lti_user_pk == LtiUser.id)
        .where(Membership.last_launch_at.is_not(None))
    )


def _logins() -> Select[Any]:
    """The logins at the school's platforms that carry the number we gave."""
    return (
        select(LtiUser.id)
        .join(Registration, Registration.id == LtiUser.registration_id)
        .where(
            Registration.school_id == ExpectedGuardian.school_id, LtiUser.sis_id == ExpectedGuardian.number
        )
        .correlate(ExpectedGuardian)
    )
