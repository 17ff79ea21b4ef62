"""The people of a class, how far they are in the course of a link, and what became of their scores."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, func, or_, select
from sqlalchemy.orm import joinedload

from integrations.terms import CourseRole, Outcome
from lti_app.courses.models import CourseProgress, Placement, Visit
from lti_app.extensions import db
from lti_app.gradebook.models import LineItem, Score, ScoreState
from lti_app.gradebook.queries import ScoreRow, scores_of_people
from lti_app.roster.models import LtiUser, Membership, MembershipStatus, Person, PersonKind, ResourceLink

PAGE = 50
LEARNING = (CourseRole.LEARNER, CourseRole.MENTOR)
TEACHING = (CourseRole.INSTRUCTOR, CourseRole.ASSISTANT)
NOBODY = 0
"""Stands for "no course" and "no link" in conditions: row numbers begin at one."""


class Shown(StrEnum):
    """The filters of the list. SETTLED: written, or changed by a teacher, which is respected."""

    ALL = "all"
    HELD = "held"
    WAITING = "waiting"
    SETTLED = "settled"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Place:
    """Where the page looks: a class, one of its links (if any), and that one's course (if any)."""

    context_pk: int
    link_pk: int | None
    course_id: int | None


@dataclass(frozen=True, slots=True)
class Learner:
    """A person of the class; `person_id` None: a login that has not opened anything yet.

    `percent` and `result` (hundredths of a percent) are the person's in the course, `score` the login's.
    `opened_here`: through this link, and not only through another one of the class.
    """

    lti_user_pk: int
    name: str | None
    label: str | None
    role: CourseRole
    kind: PersonKind | None
    person_id: int | None
    opened_here: bool
    percent: int
    result: int | None
    finished: bool
    score: ScoreRow | None


@dataclass(frozen=True, slots=True)
class Numbers:
    """The class in numbers. `waiting` and `held` are scores, the others people; `absent` never came yet."""

    people: int
    absent: int
    finished: int
    waiting: int
    held: int
    shown: dict[Shown, int]


def placement_with_course(link_pk: int) -> Placement | None:
    """What a link shows, with its course but not its lessons."""
    query = select(Placement).where(Placement.resource_link_pk == link_pk)
    return db.session.scalar(query.options(joinedload(Placement.course)))


def origin_of(placement: Placement, teacher_pk: int | None) -> ResourceLink | None:
    """The link that a placement was copied from, with its class, if this login teaches there too: teachers can
    type what a link is a copy of, and must not learn of other classes by it."""
    teaches = (
        (Membership.context_pk == ResourceLink.context_pk)
        & (Membership.lti_user_pk == teacher_pk)
        & Membership.role.in_(TEACHING)
    )
    query = select(ResourceLink).join(Membership, teaches).where(ResourceLink.id == placement.copied_from_pk)
    return db.session.scalar(query.options(joinedload(ResourceLink.context)))


def numbers(place: Place) -> Numbers:
    """Count the class in one statement."""
    filters = [shown for shown in Shown if shown is not Shown.ALL]
    row = db.session.execute(
        _people(
            place,
            func.count(),
            func.count(Membership.id.distinct()).filter(Membership.last_launch_at.is_(None)),
            func.count(CourseProgress.completed_at),
            func.count(Score.id.distinct()).filter(_condition(Shown.WAITING)),
            func.count(Score.id.distinct()).filter(_condition(Shown.HELD)),
            *(func.count().filter(_condition(shown)) for shown in filters),
        )
    ).one()
    people, absent, finished, waiting, held, *counts = row
    return Numbers(
        people,
        absent,
        finished,
        waiting,
        held,
        {Shown.ALL: people, **dict(zip(filters, counts, strict=True))},
    )


def learners(place: Place, shown: Shown, *, page: int) -> list[Learner]:
    """A page of the class by name, those without one last, in two statements."""
    visited = _visitors(place)
    query = _people(
        place,
        LtiUser.id.label("lti_user_pk"),
        LtiUser.name,
        Person.label,
        Membership.role,
        func.coalesce(Person.kind, Membership.listed_kind, Membership.stated_kind).label("kind"),
        Person.id.label("person_id"),
        func.coalesce(visited.c.here, 0).label("opened_here"),
        func.coalesce(CourseProgress.percent, 0).label("percent"),
        CourseProgress.result,
        CourseProgress.completed_at.is_not(None).label("finished"),
        visited=visited,
    )
    if shown is not Shown.ALL:
        query = query.where(_condition(shown))
    order = (LtiUser.name.is_(None), LtiUser.name, LtiUser.id, Person.id)
    rows = db.session.execute(query.order_by(*order).limit(PAGE).offset((page - 1) * PAGE)).all()
    scores = scores_of_people(place.link_pk or NOBODY, {row.lti_user_pk for row in rows})
    return [_learner(row, scores.get(row.lti_user_pk)) for row in rows]


def _learner(row: Any, score: ScoreRow | None) -> Learner:
    values = row._asdict()
    values |= {"opened_here": bool(row.opened_here), "finished": bool(row.finished)}
    return Learner(**values, score=score)


def _visitors(place: Place) -> Any:
    """Who opened any link of the class, by login and person, and whether this one too."""
    here = case((Visit.resource_link_pk == (place.link_pk or NOBODY), 1), else_=0)
    return (
        select(Visit.lti_user_pk, Visit.person_id, func.max(here).label("here"))
        .join(ResourceLink, ResourceLink.id == Visit.resource_link_pk)
        .where(ResourceLink.context_pk == place.context_pk)
        .group_by(Visit.lti_user_pk, Visit.person_id)
        .subquery()
    )


def _people(place: Place, *columns: Any, visited: Any = None) -> Select[Any]:
    """One row for each active learner or observer, or for each person of theirs who has been here."""
    visited = _visitors(place) if visited is None else visited
    return (
        select(*columns)
        .select_from(Membership)
        .join(LtiUser, LtiUser.id == Membership.lti_user_pk)
        .outerjoin(visited, visited.c.lti_user_pk == Membership.lti_user_pk)
        .outerjoin(Person, Person.id == visited.c.person_id)
        .outerjoin(
            CourseProgress,
            and_(
                CourseProgress.person_id == Person.id,
                CourseProgress.course_id == (place.course_id or NOBODY),
            ),
        )
        .outerjoin(LineItem, LineItem.resource_link_pk == (place.link_pk or NOBODY))
        .outerjoin(
            Score, and_(Score.line_item_id == LineItem.id, Score.lti_user_pk == Membership.lti_user_pk)
        )
        .where(
            Membership.context_pk == place.context_pk,
            Membership.status == MembershipStatus.ACTIVE,
            Membership.role.in_(LEARNING),
        )
    )


def _condition(shown: Shown) -> ColumnElement[bool]:
    # A score without a time and without an outcome is not meant to be sent yet.
    on_its_way = or_(Score.due_at.is_not(None), Score.outcome.is_not(None))
    overruled = and_(Score.state == ScoreState.HELD, Score.outcome == Outcome.OVERRIDDEN)
    conditions: dict[Shown, ColumnElement[bool]] = {
        Shown.HELD: and_(Score.state == ScoreState.HELD, Score.outcome.is_distinct_from(Outcome.OVERRIDDEN)),
        Shown.WAITING: and_(Score.state == ScoreState.WAITING, on_its_way),
        Shown.SETTLED: or_(Score.state == ScoreState.SENT, overruled),
        Shown.NONE: or_(
            Score.id.is_(None),
            Score.state == ScoreState.DROPPED,
            and_(Score.state == ScoreState.WAITING, ~on_its_way),
        ),
    }
    return conditions[shown]
