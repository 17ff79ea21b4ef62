"""What is kept about somebody, in counts: enough to answer "what do you have about me?", and nothing more."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ScalarSelect, Select, func, select

from lti_app.courses.models import CourseProgress, LessonProgress, QuizAttempt
from lti_app.credits.models import CreditAccount, CreditEntry
from lti_app.extensions import db
from lti_app.gradebook.models import Score
from lti_app.roster.models import Context, Grant, Guardianship, LtiUser, Membership, PersonLink


@dataclass(frozen=True, slots=True)
class Kept:
    """About one login and the persons who come by it. `first_seen` is when a platform first named it."""

    login: LtiUser
    first_seen: datetime
    persons: int
    classes: int
    courses: int
    lessons: int
    quiz_attempts: int
    credit_entries: int
    scores: int
    guardian_of: int
    guarded_by: int
    rights: int


def login_named(registration_id: int, deployment_pk: int, sub: str) -> LtiUser | None:
    """The login of that platform id, unless it is known from other deployments only: those may be other
    institutions that share a registration."""
    login = db.session.scalar(
        select(LtiUser).where(LtiUser.registration_id == registration_id, LtiUser.sub == sub)
    )
    if login is None:
        return None
    deployments = set(
        db.session.scalars(
            select(Context.deployment_pk)
            .join(Membership, Membership.context_pk == Context.id)
            .where(Membership.lti_user_pk == login.id)
            .distinct()
        )
    )
    return login if not deployments or deployment_pk in deployments else None


def kept_about(login: LtiUser) -> Kept:
    """One query, whatever there is."""
    persons = select(PersonLink.person_id).where(PersonLink.lti_user_pk == login.id)
    accounts = select(CreditAccount.id).where(CreditAccount.person_id.in_(persons))
    counts = db.session.execute(
        select(
            _count(select(PersonLink.id).where(PersonLink.lti_user_pk == login.id)),
            _count(select(Membership.id).where(Membership.lti_user_pk == login.id)),
            _count(select(CourseProgress.id).where(CourseProgress.person_id.in_(persons))),
            _count(select(LessonProgress.id).where(LessonProgress.person_id.in_(persons))),
            _count(select(QuizAttempt.id).where(QuizAttempt.person_id.in_(persons))),
            _count(select(CreditEntry.id).where(CreditEntry.account_id.in_(accounts))),
            _count(select(Score.id).where(Score.lti_user_pk == login.id)),
            _count(select(Guardianship.id).where(Guardianship.person_id.in_(persons))),
            _count(select(Guardianship.id).where(Guardianship.child_pk == login.id)),
            _count(select(Grant.id).where(Grant.lti_user_pk == login.id)),
        )
    ).one()
    return Kept(login, login.created_at, *map(int, counts))


def _count(rows: Select[int]) -> ScalarSelect[int]:
    return select(func.count()).select_from(rows.subquery()).scalar_subquery()
