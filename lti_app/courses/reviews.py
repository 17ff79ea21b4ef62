"""What a submission review shows: the persons behind one login, and what they did in the link's course."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select

from lti_app.courses.models import Course, Lesson, QuizAttempt, Visit
from lti_app.courses.queries import Path, paths_of
from lti_app.extensions import db
from lti_app.roster.models import LtiUser, Person

MAX_REVIEWED = 100
"""Attempts that a review shows of one login; the newest."""


@dataclass(frozen=True, slots=True)
class Reviewed:
    """A person of a reviewed login, how far they are, and their attempts (newest first) by lesson id."""

    person: Person
    path: Path
    attempts: dict[int, list[QuizAttempt]]


def login_named(registration_id: int, sub: str) -> LtiUser | None:
    return db.session.scalar(
        select(LtiUser).where(LtiUser.registration_id == registration_id, LtiUser.sub == sub)
    )


def reviewed(link_pk: int, login: LtiUser, course: Course) -> list[Reviewed]:
    """The persons who opened this link by this login, at most the few of a family, with what they did."""
    persons = db.session.scalars(
        select(Person)
        .join(Visit, Visit.person_id == Person.id)
        .where(Visit.resource_link_pk == link_pk, Visit.lti_user_pk == login.id)
        .order_by(Person.id)
    ).all()
    ids = [person.id for person in persons]
    attempts = db.session.scalars(
        select(QuizAttempt)
        .join(Lesson, Lesson.id == QuizAttempt.lesson_id)
        .where(Lesson.course_id == course.id, QuizAttempt.person_id.in_(ids))
        .order_by(QuizAttempt.id.desc())
        .limit(MAX_REVIEWED)
    ).all()
    result = []
    for person, path in zip(persons, paths_of(course, ids), strict=True):
        own: dict[int, list[QuizAttempt]] = {}
        for attempt in attempts:
            if attempt.person_id == person.id:
                own.setdefault(attempt.lesson_id, []).append(attempt)
        result.append(Reviewed(person, path, own))
    return result
