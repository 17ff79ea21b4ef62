"""What the pages of families read; the number of queries never depends on the number of rows."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, exists, func, or_, select, true

from integrations.terms import CourseRole
from lti_app.clock import utc_now
from lti_app.extensions import db
from lti_app.families.models import ClaimCode
from lti_app.organisations.models import School
from lti_app.registrations.models import Registration
from lti_app.roster.models import (
    Audience,
    Context,
    Guardianship,
    LtiUser,
    Membership,
    MembershipStatus,
    Person,
    PersonKind,
    PersonLink,
    RemovedBy,
)

PAGE = 50


class Shown(StrEnum):
    """The filters of the list of pupils."""

    ALL = "all"
    NONE = "none"
    SOME = "some"


@dataclass(frozen=True, slots=True)
class Numbers:
    """The pupils of a class: all, those with a guardian, and those whose code can be used."""

    pupils: int
    with_guardian: int
    with_code: int


@dataclass(frozen=True, slots=True)
class Pupil:
    """A child of the class with the state of their code (`expires_at` None: no code was made)."""

    pk: int
    name: str | None
    sis_id: str | None
    sub: str
    guardians: int
    uses_left: int | None
    expires_at: datetime | None


def children_of(person_id: int) -> Sequence[Any]:
    """A parent's children: pk, name, school, source; the oldest link first."""
    query = (
        select(LtiUser.id.label("pk"), LtiUser.name, School.name.label("school"), Guardianship.source)
        .join(Guardianship, Guardianship.child_pk == LtiUser.id)
        .join(Registration, Registration.id == LtiUser.registration_id)
        .join(School, School.id == Registration.school_id)
        .where(Guardianship.person_id == person_id, Guardianship.removed_at.is_(None))
    )
    return db.session.execute(query.order_by(Guardianship.id)).all()


def logins_of(person_id: int) -> Sequence[Any]:
    """The LMS accounts of a person: pk, name, school."""
    query = (
        select(LtiUser.id.label("pk"), LtiUser.name, School.name.label("school"))
        .join(PersonLink, PersonLink.lti_user_pk == LtiUser.id)
        .join(Registration, Registration.id == LtiUser.registration_id)
        .join(School, School.id == Registration.school_id)
        .where(PersonLink.person_id == person_id)
    )
    return db.session.execute(query.order_by(PersonLink.id)).all()


def numbers(context: Context) -> Numbers:
    """Count the pupils of a class in one statement."""
    row = db.session.execute(
        _pupils(
            context,
            func.count(),
            func.count().filter(_has_guardian()),
            func.count().filter(and_(ClaimCode.uses_left > 0, ClaimCode.expires_at > utc_now())),
        )
    ).one()
    return Numbers(*row)


def pupils(
    context: Context, *, words: str = "", shown: Shown = Shown.ALL, page: int = 1
) -> tuple[list[Pupil], int]:
    """A page of the pupils by name, those without one last, and how many are found."""
    conditions: list[ColumnElement[bool]] = [
        or_(LtiUser.name.icontains(word, autoescape=True), LtiUser.sis_id.icontains(word, autoescape=True))
        for word in words.split()[:4]
    ]
    if shown is not Shown.ALL:
        conditions.append(_has_guardian() if shown is Shown.SOME else ~_has_guardian())
    total = db.session.scalar(_pupils(context, func.count()).where(*conditions)) or 0
    rows = db.session.execute(_described(context).where(*conditions).limit(PAGE).offset((page - 1) * PAGE))
    return [Pupil(*row) for row in rows], total


def pupils_to_give_codes(context: Context, limit: int, *, among: Collection[int] | None) -> list[Pupil]:
    """Pupils for whom codes may be made: `among` these, else those who have none or whose has expired."""
    wanted = (
        LtiUser.id.in_(among)
        if among is not None
        else or_(ClaimCode.id.is_(None), ClaimCode.expires_at <= utc_now())
    )
    return [Pupil(*row) for row in db.session.execute(_described(context).where(wanted).limit(limit))]


def is_pupil_here(child_pk: int, context: Context) -> bool:
    return db.session.scalar(_pupils(context, LtiUser.id).where(LtiUser.id == child_pk)) is not None


def guardians_of(child_pks: Collection[int], registration_id: int) -> dict[int, list[Row[Any]]]:
    """By child: id, label, name (as this platform gives it), source, and who removed the link, if somebody
    did. Of removed ones only those that the teacher may restore."""
    name = (
        select(func.min(LtiUser.name))
        .join(PersonLink, PersonLink.lti_user_pk == LtiUser.id)
        .where(PersonLink.person_id == Guardianship.person_id, LtiUser.registration_id == registration_id)
        .correlate(Guardianship)
        .scalar_subquery()
    )
    query = (
        select(
            Guardianship.id,
            Guardianship.child_pk,
            Guardianship.source,
            Guardianship.removed_by,
            Person.label,
            name.label("name"),
        )
        .join(Person, Person.id == Guardianship.person_id)
        .where(
            Guardianship.child_pk.in_(child_pks),
            or_(Guardianship.removed_at.is_(None), Guardianship.removed_by == RemovedBy.TEACHER),
        )
        .order_by(Guardianship.removed_at.is_not(None), Guardianship.id)
    )
    found: dict[int, list[Row[Any]]] = {}
    for row in db.session.execute(query):
        found.setdefault(row.child_pk, []).append(row)
    return found


def guardianship_of_pupil(guardianship_id: int, context: Context) -> Guardianship | None:
    """A link to a child of this class, removed or not; None for any other."""
    pupil = _pupils(context, LtiUser.id).where(LtiUser.id == Guardianship.child_pk).correlate(Guardianship)
    return db.session.scalar(select(Guardianship).where(Guardianship.id == guardianship_id, pupil.exists()))


def _described(context: Context) -> Select[Any]:
    return _pupils(
        context,
        LtiUser.id,
        LtiUser.name,
        LtiUser.sis_id,
        LtiUser.sub,
        _guardians().label("guardians"),
        ClaimCode.uses_left,
        ClaimCode.expires_at,
    ).order_by(LtiUser.name.is_(None), LtiUser.name, LtiUser.id)


def _pupils(context: Context, *columns: Any) -> Select[Any]:
    """The active Learners of a class who are or may be pupils, with their codes."""
    return (
        select(*columns)
        .select_from(Membership)
        .join(LtiUser, LtiUser.id == Membership.lti_user_pk)
        .outerjoin(ClaimCode, ClaimCode.child_pk == LtiUser.id)
        .where(
            Membership.context_pk == context.id,
            Membership.role == CourseRole.LEARNER,
            Membership.status == MembershipStatus.ACTIVE,
            _may_be_pupil(context.audience),
        )
    )


def _may_be_pupil(audience: Audience | None) -> ColumnElement[bool]:
    """In a class of pupils or of families the logins are the children's; elsewhere it is what was said of
    the person, and only in a class of parents is silence a no."""
    if audience in (Audience.PUPILS, Audience.FAMILIES):
        return true()
    if audience is Audience.PARENTS:
        return Membership.stated_kind == PersonKind.PUPIL
    return Membership.stated_kind.is_distinct_from(PersonKind.PARENT)


def _guardians() -> Any:
    return (
        select(func.count())
        .where(Guardianship.child_pk == LtiUser.id, Guardianship.removed_at.is_(None))
        .correlate(LtiUser)
        .scalar_subquery()
    )


def _has_guardian() -> ColumnElement[bool]:
    return (
        exists()
        .where(Guardianship.child_pk == LtiUser.id, Guardianship.removed_at.is_(None))
        .correlate(LtiUser)
    )
