"""Whose pupils a list may be about: a teacher's own, or a whole school's."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, select

from integrations.terms import CourseRole
from lti_app.errors import NotAllowed
from lti_app.extensions import db
from lti_app.launches.current import current_launch, rights_here
from lti_app.launches.models import LaunchSession
from lti_app.roster.models import Context, LtiUser, Membership, MembershipStatus, Right

STAFF = (CourseRole.INSTRUCTOR, CourseRole.ASSISTANT)
PUPILS = (CourseRole.LEARNER,)
GUARDIANS = (CourseRole.LEARNER, CourseRole.MENTOR)
WHOLE_SCHOOL = frozenset({Right.DISTRICT, Right.SCHOOL_ADMIN})
CHUNK = 500
"""How many values a statement asks for at a time."""
Roles = tuple[CourseRole, ...]


@dataclass(frozen=True, slots=True)
class Reach:
    """What somebody may import. `contexts` selects the ids of the classes whose people it may name; `whole`:
    also pupils of the school whom we do not know yet."""

    registration_id: int
    school_id: int
    lti_user_pk: int
    whole: bool
    contexts: Select[Any]

    def pupils_named(self, numbers: Collection[str]) -> dict[str, set[int]]:
        """The logins of pupils of those classes, by SIS id."""
        return self._named(LtiUser.sis_id, numbers, PUPILS)

    def guardians_named(self, names: Collection[str]) -> dict[str, set[int]]:
        """The logins of those classes that may be a parent's, by SIS id and by e-mail, in lower case."""
        # Platforms keep the case of an id, people do not; spelt out like this, the index serves.
        spelt = {form for name in names for form in (name, name.lower(), name.upper())}
        mails = {name.lower() for name in names if "@" in name}
        found: dict[str, set[int]] = {}
        for column, values in ((LtiUser.sis_id, spelt), (func.lower(LtiUser.email), mails)):
            for name, logins in self._named(column, values, GUARDIANS).items():
                found.setdefault(name.lower(), set()).update(logins)
        return found

    def strangers(self, pupil_numbers: Collection[str]) -> set[str]:
        """Those of the numbers that belong to no pupil of a teacher's; none where the reach is a school."""
        if self.whole:
            return set()
        return set(pupil_numbers) - self.pupils_named(pupil_numbers).keys()

    def pupil_numbers(self) -> Select[Any]:
        """Selects the SIS ids of the pupils of those classes."""
        members = select(LtiUser.sis_id).join(Membership, Membership.lti_user_pk == LtiUser.id)
        return members.where(self._is_member(PUPILS))

    def _named(self, column: Any, names: Collection[str], roles: Roles) -> dict[str, set[int]]:
        # Two plain steps, each with its index; planners that know little of new tables get a join wrong.
        found: dict[str, set[int]] = {}
        for some in chunks(names):
            query = select(column, LtiUser.id)
            query = query.where(LtiUser.registration_id == self.registration_id, column.in_(some))
            rows = db.session.execute(query).all()
            logins = [login for _name, login in rows]
            query = select(Membership.lti_user_pk).where(Membership.lti_user_pk.in_(logins))
            members = set(db.session.scalars(query.where(self._is_member(roles)))) if logins else set()
            for name, login in rows:
                if login in members:
                    found.setdefault(name, set()).add(login)
        return found

    def _is_member(self, roles: Roles) -> ColumnElement[bool]:
        return and_(
            Membership.context_pk.in_(self.contexts),
            Membership.role.in_(roles),
            Membership.status == MembershipStatus.ACTIVE,
        )


def chunks(values: Collection[Any]) -> Iterator[list[Any]]:
    """The values in order, as many at a time as a statement asks for."""
    ordered = sorted(values)
    for start in range(0, len(ordered), CHUNK):
        yield ordered[start : start + CHUNK]


def reach_here() -> Reach:
    """The reach of the current launch. Raises NotAllowed for whoever has none, or no identity."""
    launch = current_launch()
    reach = _reach(launch)
    if reach is None or launch.is_test_user:
        raise NotAllowed()
    return reach


def _reach(launch: LaunchSession) -> Reach | None:
    if launch.lti_user_pk is None:
        return None
    registration = launch.registration
    of_registration = select(Context.id).where(Context.registration_id == registration.id)
    if rights_here(launch) & WHOLE_SCHOOL:
        whole, contexts = True, of_registration.where(Context.school_id == registration.school_id)
    elif launch.is_administrator:
        whole, contexts = True, of_registration.where(Context.deployment_pk == launch.deployment_pk)
    elif launch.role.is_staff:
        own = select(Membership.context_pk).where(
            Membership.lti_user_pk == launch.lti_user_pk,
            Membership.role.in_(STAFF),
            Membership.status == MembershipStatus.ACTIVE,
        )
        whole, contexts = False, of_registration.where(Context.id.in_(own))
    else:
        return None
    return Reach(registration.id, registration.school_id, launch.lti_user_pk, whole, contexts)
