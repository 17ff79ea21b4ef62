"""Two LMS accounts of one parent become one person, by a code shown at one and typed at the other."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from sqlalchemy import delete, exists, func, or_, select, update

from lti_app.clock import utc_now
from lti_app.courses.models import Course, CourseProgress, Placement, Visit
from lti_app.courses.projection import project_person
from lti_app.credits.models import CreditEvent
from lti_app.credits.projection import lock_logins, project_login
from lti_app.extensions import db
from lti_app.families.attempts import count_attempt, forgive
from lti_app.families.codes import Purpose, fingerprint, new_code, read_code
from lti_app.families.models import LinkCode
from lti_app.families.services import Miscopied, WrongCode
from lti_app.launches.models import LaunchSession
from lti_app.launches.services import find_child
from lti_app.organisations.models import School
from lti_app.registrations.models import Registration
from lti_app.roster.guardians import MentionedChild
from lti_app.roster.models import Guardianship, LtiUser, Person, PersonLink

CODE_LIFE = timedelta(minutes=10)


class Obstacle(StrEnum):
    """Why two accounts cannot be linked, although the code is right."""

    SAME_PERSON = "same_person"
    HAS_RECORDS = "has_records"
    HAS_OTHER_LOGINS = "has_other_logins"


class CannotLink(Exception):
    """The code stays unused."""

    def __init__(self, obstacle: Obstacle) -> None:
        super().__init__(obstacle)
        self.obstacle = obstacle


@dataclass(frozen=True, slots=True)
class Offer:
    """The account that showed the code: no more of it than its owner is sure to recognise."""

    initial: str | None
    school: str


def offer_code(launch: LaunchSession) -> str:
    """A code for the parent of this launch to type at their other account within ten minutes; an earlier one
    is void."""
    db.session.execute(
        delete(LinkCode)
        .where(or_(LinkCode.person_id == launch.person_id, LinkCode.expires_at <= utc_now()))
        .execution_options(synchronize_session=False)
    )
    code = new_code()
    db.session.add(
        LinkCode(
            person_id=launch.person_id,
            lti_user_pk=launch.lti_user_pk,
            code_hash=fingerprint(code, Purpose.LINK),
            expires_at=utc_now() + CODE_LIFE,
        )
    )
    return code


def look_up(launch: LaunchSession, typed: str) -> Offer:
    """Which account a code belongs to, before anything happens. Raises Miscopied, TooManyAttempts, WrongCode
    and CannotLink."""
    code = _checked(launch, typed)
    row = db.session.execute(
        select(LtiUser.name, School.name.label("school"))
        .join(Registration, Registration.id == LtiUser.registration_id)
        .join(School, School.id == Registration.school_id)
        .where(LtiUser.id == code.lti_user_pk)
    ).one()
    return Offer((row.name or "").strip()[:1] or None, row.school)


def join(launch: LaunchSession, typed: str) -> None:
    """This login becomes one of the person who showed the code: from now on one account of credits. Raises
    what `look_up` does.

    The children come along; the grades that the person's progress is worth appear in the columns that this
    login has opened. Learning records cannot come along yet, so a person who has some is not joined.
    """
    code = _checked(launch, typed)
    old_id, new_id, login = launch.person_id, code.person_id, launch.lti_user_pk
    assert old_id is not None
    assert login is not None
    lock_logins(select(LtiUser.id).where(LtiUser.id == login))
    db.session.delete(code)
    _keep_label(old_id, new_id)
    _move_children(old_id, new_id)
    for model in (PersonLink, Visit, LaunchSession):
        db.session.execute(
            update(model)
            .where(model.lti_user_pk == login, model.person_id == old_id)
            .values(person_id=new_id)
        )
    db.session.execute(delete(LinkCode).where(LinkCode.person_id == old_id))
    db.session.flush()
    db.session.refresh(launch, ["person"])
    find_child(launch)
    project_login(login)
    for course in _courses_opened(login, new_id):
        project_person(course, new_id)


def _checked(launch: LaunchSession, typed: str) -> LinkCode:
    """The code, locked, if this login may be joined by it."""
    signs = read_code(typed)
    if signs is None:
        raise Miscopied
    count_attempt(launch, Purpose.LINK)
    code = db.session.scalar(
        select(LinkCode)
        .where(LinkCode.code_hash == fingerprint(signs, Purpose.LINK), LinkCode.expires_at > utc_now())
        .with_for_update()
    )
    if code is None:
        raise WrongCode
    forgive(launch, Purpose.LINK)
    obstacle = _obstacle(launch, code)
    if obstacle is not None:
        raise CannotLink(obstacle)
    return code


def _obstacle(launch: LaunchSession, code: LinkCode) -> Obstacle | None:
    links = (PersonLink.lti_user_pk == launch.lti_user_pk, PersonLink.person_id == code.person_id)
    if code.person_id == launch.person_id or db.session.scalar(select(exists().where(*links))):
        return Obstacle.SAME_PERSON
    records = or_(
        exists().where(CourseProgress.person_id == launch.person_id),
        exists().where(CreditEvent.person_id == launch.person_id),
    )
    if db.session.scalar(select(records)):
        return Obstacle.HAS_RECORDS
    logins = select(func.count()).where(PersonLink.person_id == launch.person_id)
    return Obstacle.HAS_OTHER_LOGINS if (db.session.scalar(logins) or 0) > 1 else None


def _keep_label(old_id: int, new_id: int) -> None:
    """A family that shares a login goes on knowing who is who."""
    label = select(Person.label).where(Person.id == old_id).scalar_subquery()
    db.session.execute(
        update(Person)
        .where(Person.id == new_id, Person.label.is_(None))
        .values(label=label)
        .execution_options(synchronize_session=False)
    )


def _move_children(old_id: int, new_id: int) -> None:
    """Of a child that both have, the person's own link decides."""
    own = select(Guardianship.child_pk).where(Guardianship.person_id == new_id)
    mine = Guardianship.person_id == old_id
    for statement in (
        update(Guardianship).where(mine, Guardianship.child_pk.not_in(own)).values(person_id=new_id),
        delete(Guardianship).where(mine),
        # The next launch names them again.
        delete(MentionedChild).where(MentionedChild.person_id == old_id),
    ):
        db.session.execute(statement.execution_options(synchronize_session=False))


def _courses_opened(login: int, person_id: int) -> list[Course]:
    """The courses with progress of the person that this login has opened."""
    placed = (
        select(Placement.course_id)
        .join(Visit, Visit.resource_link_pk == Placement.resource_link_pk)
        .join(
            CourseProgress,
            (CourseProgress.person_id == Visit.person_id) & (CourseProgress.course_id == Placement.course_id),
        )
        .where(Visit.lti_user_pk == login, Visit.person_id == person_id)
    )
    return list(db.session.scalars(select(Course).where(Course.id.in_(placed)).order_by(Course.id)))
