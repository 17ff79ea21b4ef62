"""The classes of a school or a district in numbers, for those who were granted the right to see them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select

from integrations.terms import CourseRole
from lti_app.courses.models import CourseProgress, Placement, Visit
from lti_app.credits.models import CreditAccount, CreditBalance
from lti_app.extensions import db
from lti_app.gradebook.models import LineItem, Score, ScoreState
from lti_app.organisations.models import School
from lti_app.roster.models import Context, Membership, MembershipStatus, ResourceLink, Right

PAGE = 50
LEARNING = (CourseRole.LEARNER, CourseRole.MENTOR)
OPENING = frozenset({Right.DISTRICT, Right.SCHOOL_ADMIN})
"""The rights that open an overview."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What somebody may see: one school, or every school of a district."""

    district_id: int
    school_id: int | None

    @property
    def contains(self) -> ColumnElement[bool]:
        """The condition on Context for a class to belong to it."""
        if self.school_id is not None:
            return Context.school_id == self.school_id
        return Context.school_id.in_(select(School.id).where(School.district_id == self.district_id))


@dataclass(frozen=True, slots=True)
class ClassRow:
    """A class in numbers. `credits` are hundredths, of the people who learnt here, in the term asked for."""

    title: str | None
    context_pk: int
    school: str
    people: int
    finished: int
    credits: int
    unsent: int


@dataclass(frozen=True, slots=True)
class Sums:
    """The same over the whole scope; everybody counts once, however many classes they are in."""

    classes: int
    people: int
    finished: int
    credits: int
    unsent: int


def scope_of(rights: frozenset[Right], school: School) -> Scope | None:
    """The widest scope that the rights give to a login of `school`; None: no overview."""
    if Right.DISTRICT in rights:
        return Scope(school.district_id, None)
    if Right.SCHOOL_ADMIN in rights:
        return Scope(school.district_id, school.id)
    return None


def sums(scope: Scope, term_id: int | None) -> Sums:
    """The sums of a scope."""
    queries = (
        select(func.count(Context.id)),
        _members(func.count(Membership.lti_user_pk.distinct())),
        _completions(func.count(CourseProgress.id.distinct())),
        _unsent(func.count(Score.id)),
    )
    classes, people, finished, unsent = (
        int(db.session.scalars(query.where(scope.contains)).one()) for query in queries
    )
    persons = _visitors(Visit.person_id).where(scope.contains)
    return Sums(classes, people, finished, int(db.session.scalar(_credits(persons, term_id)) or 0), unsent)


def class_rows(scope: Scope, term_id: int | None, *, page: int) -> list[ClassRow]:
    """A page of classes by school and title, in five statements whatever their number."""
    query = select(Context.id, Context.title, School.name).join(School, School.id == Context.school_id)
    query = query.where(scope.contains).order_by(School.name, Context.title, Context.id)
    found = db.session.execute(query.limit(PAGE).offset((page - 1) * PAGE)).all()
    ids = [row.id for row in found]
    people = _by_class(_members(Membership.context_pk, func.count()), Membership.context_pk, ids)
    finished = _by_class(
        _completions(ResourceLink.context_pk, func.count(CourseProgress.id.distinct())),
        ResourceLink.context_pk,
        ids,
    )
    credits = _credits_by_class(ids, term_id)
    unsent = _by_class(_unsent(ResourceLink.context_pk, func.count()), ResourceLink.context_pk, ids)
    return [
        ClassRow(
            title=row.title,
            context_pk=row.id,
            school=row.name,
            people=people.get(row.id, 0),
            finished=finished.get(row.id, 0),
            credits=credits.get(row.id, 0),
            unsent=unsent.get(row.id, 0),
        )
        for row in found
    ]


def _members(*columns: Any) -> Select[Any]:
    return (
        select(*columns)
        .select_from(Membership)
        .join(Context, Context.id == Membership.context_pk)
        .where(Membership.status == MembershipStatus.ACTIVE, Membership.role.in_(LEARNING))
    )


def _visitors(*columns: Any) -> Select[Any]:
    return (
        select(*columns)
        .select_from(Visit)
        .join(ResourceLink, ResourceLink.id == Visit.resource_link_pk)
        .join(Context, Context.id == ResourceLink.context_pk)
    )


def _completions(*columns: Any) -> Select[Any]:
    """People's finished courses, of the courses that were opened in a class."""
    return (
        _visitors(*columns)
        .join(Placement, Placement.resource_link_pk == Visit.resource_link_pk)
        .join(
            CourseProgress,
            (CourseProgress.person_id == Visit.person_id) & (CourseProgress.course_id == Placement.course_id),
        )
        .where(CourseProgress.completed_at.is_not(None))
    )


def _unsent(*columns: Any) -> Select[Any]:
    return (
        select(*columns)
        .select_from(Score)
        .join(LineItem, LineItem.id == Score.line_item_id)
        .join(ResourceLink, ResourceLink.id == LineItem.resource_link_pk)
        .join(Context, Context.id == ResourceLink.context_pk)
        .where(Score.state.not_in((ScoreState.SENT, ScoreState.DROPPED)))
    )


def _credits(person_ids: Select[Any], term_id: int | None) -> Select[Any]:
    return (
        select(func.sum(CreditBalance.amount))
        .join(CreditAccount, CreditAccount.id == CreditBalance.account_id)
        .where(CreditBalance.term_id == term_id, CreditAccount.person_id.in_(person_ids))
    )


def _credits_by_class(ids: Sequence[int], term_id: int | None) -> Mapping[int, int]:
    here = (
        _visitors(ResourceLink.context_pk, Visit.person_id)
        .where(ResourceLink.context_pk.in_(ids))
        .distinct()
        .subquery()
    )
    query = (
        select(here.c.context_pk, func.sum(CreditBalance.amount))
        .join(CreditAccount, CreditAccount.person_id == here.c.person_id)
        .join(CreditBalance, CreditBalance.account_id == CreditAccount.id)
        .where(CreditBalance.term_id == term_id)
        .group_by(here.c.context_pk)
    )
    return {context_pk: int(amount) for context_pk, amount in db.session.execute(query)}


def _by_class(query: Select[Any], context_pk: Any, ids: Sequence[int]) -> Mapping[int, int]:
    rows = db.session.execute(query.where(context_pk.in_(ids)).group_by(context_pk))
    return {key: int(number) for key, number in rows}
