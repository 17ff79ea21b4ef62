"""Keeping in step with what launches say: users, classes, links, memberships, guardians."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any, TypeVar, cast

from sqlalchemy import Select, bindparam, select
from sqlalchemy.exc import IntegrityError

from integrations.terms import CourseRole, Launch
from lti_app.clock import utc_now
from lti_app.extensions import db
from lti_app.registrations.models import Deployment, Registration
from lti_app.roster.copies import note_notice_service
from lti_app.roster.guardians import settle_mentions
from lti_app.roster.models import (
    Audience,
    Context,
    LtiUser,
    Membership,
    MembershipStatus,
    Person,
    PersonKind,
    PersonLink,
    ResourceLink,
)
from lti_app.roster.sync import address_told

SEEN_EVERY = timedelta(minutes=5)
"""How often `last_launch_at` is written at most."""
_Row = TypeVar("_Row")

# Made once: every launch runs these, and making one costs as much as running it.
_ARRIVAL = (
    select(LtiUser, Context, ResourceLink, Membership)
    .select_from(Deployment)
    .outerjoin(
        LtiUser, (LtiUser.registration_id == Deployment.registration_id) & (LtiUser.sub == bindparam("sub"))
    )
    .outerjoin(
        Context, (Context.deployment_pk == Deployment.id) & (Context.context_id == bindparam("context_id"))
    )
    .outerjoin(
        ResourceLink,
        (ResourceLink.context_pk == Context.id)
        & (ResourceLink.resource_link_id == bindparam("resource_link_id")),
    )
    .outerjoin(Membership, (Membership.context_pk == Context.id) & (Membership.lti_user_pk == LtiUser.id))
    .where(Deployment.id == bindparam("deployment_pk"))
)
_OF_KIND = (
    select(Person)
    .join(PersonLink, PersonLink.person_id == Person.id)
    .where(PersonLink.lti_user_pk == bindparam("lti_user_pk"), Person.kind == bindparam("kind"))
    .limit(2)
)
_BY_ROLE_KEY = (
    select(Person)
    .join(PersonLink, PersonLink.person_id == Person.id)
    .where(PersonLink.lti_user_pk == bindparam("lti_user_pk"), PersonLink.role_key == bindparam("role_key"))
)


@dataclass(frozen=True, slots=True)
class Arrival:
    """The rows that a launch is about; all None for an anonymous visitor to an unknown place."""

    user: LtiUser | None
    context: Context | None
    link: ResourceLink | None
    membership: Membership | None


def record_arrival(launch: Launch, registration: Registration, deployment: Deployment) -> Arrival:
    """Insert or update what a launch says. An anonymous launch (no `sub`) only looks rows up."""
    known = _known(launch, deployment)
    if launch.sub is None:
        return known
    note_notice_service(launch, deployment)
    before = _standing(known.user, known.membership)
    context = _context(launch, registration, deployment, known.context)
    link = _link(launch, context, known.link)
    user = _user(launch, registration, known.user)
    membership = _membership(launch, user, context, known.membership)
    if _standing(user, membership) != before:
        settle_mentions(registration.id, user)
    return Arrival(user, context, link, membership)


def _standing(user: LtiUser | None, membership: Membership | None) -> tuple[Any, ...]:
    """By what a guardian's launch may have named somebody before they came."""
    return (
        user is not None and (user.sub, user.legacy_id),
        membership is not None and (membership.role, membership.status),
    )


def _known(launch: Launch, deployment: Deployment) -> Arrival:
    """What we have of it already, in one look."""
    values = {
        "deployment_pk": deployment.id,
        "context_id": launch.context.id if launch.context else None,
        "resource_link_id": launch.resource_link.id if launch.resource_link else None,
        "sub": launch.sub,
    }
    return Arrival(*db.session.execute(_ARRIVAL, values).one())


def person_here(user: LtiUser, membership: Membership | None, context: Context | None) -> Person | None:
    """Who came by this login, or None when that has to be asked (or no person learns by this role).

    A Mentor is a parent. A Learner is what an imported list says of them, else what the class's audience
    says; where the teacher has not said it, they are asked once, and a family that shares a login each time.
    """
    if membership is None or context is None:
        return None
    if membership.role is CourseRole.MENTOR:
        return _only_or_new(user, PersonKind.PARENT)
    if membership.role is not CourseRole.LEARNER:
        return None
    if membership.listed_kind is not None:
        return _only_or_new(user, membership.listed_kind)
    if context.audience is Audience.FAMILIES:
        return None  # asked at each launch: a child must not study on a parent's account
    kind = _kind_by_audience(context.audience) or membership.stated_kind
    return _only_or_new(user, kind) if kind else None


def person_by_audience(user: LtiUser, audience: Audience) -> Person:
    """Who a Learner of a parents' or a pupils' class is; ValueError for families, who have to be asked."""
    kind = _kind_by_audience(audience)
    if kind is None:
        raise ValueError(audience)
    return _only_or_new(user, kind)


def _only_or_new(user: LtiUser, kind: PersonKind) -> Person:
    """The person of that kind behind a login. The only named one of a family stays that person, with
    progress and credits, when the class no longer asks for names."""
    found = db.session.scalars(_OF_KIND, {"lti_user_pk": user.id, "kind": kind}).all()
    return found[0] if len(found) == 1 else person_of(user, kind)


def person_of(user: LtiUser, kind: PersonKind, label: str | None = None) -> Person:
    """The person of that kind (and family name, e.g. 妈妈) behind a login, made when new."""
    role_key = f"{kind}:{label}" if label else str(kind)
    key = {"lti_user_pk": user.id, "role_key": role_key}
    person = db.session.scalar(_BY_ROLE_KEY, key)
    if person is not None:
        return person
    try:
        with db.session.begin_nested():
            person = Person(kind=kind, label=label)
            db.session.add(person)
            db.session.flush()  # person.id
            db.session.add(PersonLink(**key, person_id=person.id))
    except IntegrityError:
        return db.session.scalars(_BY_ROLE_KEY, key).one()
    return person


def family_of(user: LtiUser) -> Sequence[Person]:
    """The persons known behind a login: who was here last, then oldest first."""
    query = select(Person).join(PersonLink).where(PersonLink.lti_user_pk == user.id)
    return db.session.scalars(query.order_by(Person.id != user.last_person_id, Person.id)).all()


def state_kind(user: LtiUser, context: Context, kind: PersonKind) -> Person:
    """Remember a Learner's answer to "parent or pupil?" for this class, and return the person."""
    membership = db.session.scalars(
        select(Membership).where(Membership.lti_user_pk == user.id, Membership.context_pk == context.id)
    ).one()
    membership.stated_kind = kind
    return _only_or_new(user, kind)


def _kind_by_audience(audience: Audience | None) -> PersonKind | None:
    return {Audience.PARENTS: PersonKind.PARENT, Audience.PUPILS: PersonKind.PUPIL}.get(audience)  # type: ignore[arg-type]


def _user(launch: Launch, registration: Registration, known: LtiUser | None) -> LtiUser:
    assert launch.sub is not None
    said = {"name": launch.name, "email": launch.email, "sis_id": launch.sis_id}
    if launch.legacy_user_id is not None:
        said["legacy_id"] = launch.legacy_user_id
    user = known or _one_or_insert(LtiUser, {"registration_id": registration.id, "sub": launch.sub}, said)
    # A platform that stops sending names (its privacy setting changed) means: forget them.
    _update(user, said)
    return user


def _context(
    launch: Launch, registration: Registration, deployment: Deployment, known: Context | None
) -> Context | None:
    if launch.context is None:
        return None
    key = {"deployment_pk": deployment.id, "context_id": launch.context.id}
    title = launch.context.title or launch.context.label
    context = known or _one_or_insert(
        Context,
        key,
        {"registration_id": registration.id, "school_id": registration.school_id, "title": title},
    )
    _update(context, {"title": title or context.title})
    return context


def _link(launch: Launch, context: Context | None, known: ResourceLink | None) -> ResourceLink | None:
    if launch.resource_link is None or context is None:
        return None
    key = {"context_pk": context.id, "resource_link_id": launch.resource_link.id}
    ags = launch.ags
    said: dict[str, Any] = {"title": launch.resource_link.title}
    # A launch that is silent about a service (some platforms tell it only to some roles) takes nothing away
    # from what others said; one that speaks of it and leaves something out does.
    if ags is not None:
        said |= {
            "line_items_url": ags.line_items_url,
            "line_item_url": ags.line_item_url,
            "ags_scopes": sorted(ags.scopes),
        }
    if launch.nrps_url is not None:
        said["nrps_url"] = launch.nrps_url
    is_news = launch.nrps_url is not None and (known is None or known.nrps_url != launch.nrps_url)
    link = known or _one_or_insert(ResourceLink, key, said)
    _update(link, said)
    if is_news:
        address_told(context.registration_id, context.id)
    return link


def _membership(
    launch: Launch, user: LtiUser, context: Context | None, known: Membership | None
) -> Membership | None:
    role = launch.roles.course_role
    if context is None or role is CourseRole.NONE or launch.roles.is_test_user:
        return None
    said: dict[str, Any] = {"role": role, "status": MembershipStatus.ACTIVE}
    last, now = known.last_launch_at if known else None, utc_now()
    if last is None or now - last >= SEEN_EVERY:
        said["last_launch_at"] = now
    membership = known or _one_or_insert(Membership, {"context_pk": context.id, "lti_user_pk": user.id}, said)
    _update(membership, said)
    return membership


def _one_or_insert(model: type[_Row], key: dict[str, Any], values: dict[str, Any]) -> _Row:
    """The row with that unique key, inserted when new; losing the race means reading again."""
    query = _by_key(cast("Any", model), *key)
    row: _Row | None = db.session.scalar(query, key)
    if row is not None:
        return row
    try:
        with db.session.begin_nested():
            row = model(**key, **values)
            db.session.add(row)
    except IntegrityError:
        found: _Row = db.session.scalars(query, key).one()
        return found
    return row


@cache
def _by_key(model: Any, *names: str) -> Select[Any]:
    """Made once for each model."""
    return select(model).where(*(getattr(model, name) == bindparam(name) for name in names))


def _update(row: Any, values: dict[str, Any]) -> None:
    """Set only what differs, so that an unchanged row is not written."""
    for name, value in values.items():
        if getattr(row, name) != value:
            setattr(row, name, value)
