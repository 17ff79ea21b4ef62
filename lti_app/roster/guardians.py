"""Who is a child's guardian: what launches say of it, what waits to be understood, and links made by people."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy import ColumnElement, ForeignKey, Index, String, UniqueConstraint, delete, func, or_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, mapped_column

from integrations.platforms.registry import platform_for
from integrations.terms import CourseRole, Launch
from lti_app.clock import utc_now
from lti_app.extensions import EnumText, Id, Model, db
from lti_app.registrations.models import Registration
from lti_app.roster.models import (
    Context,
    Guardianship,
    GuardianSource,
    LtiUser,
    Membership,
    MembershipStatus,
    Person,
    PersonLink,
)

MAX_CHILDREN = 20
ROWS_AT_ONCE = 500
Pair = tuple[int, int]
"""(person id, the child's LtiUser id)"""


class MentionedChild(Model):
    """A launch named a child of `person` by an id that nobody had yet, or not yet as a Learner of the class.

    It becomes a guardianship when a launch or a roster brings somebody with that `sub` or LTI 1.1 id.
    """

    __tablename__ = "mentioned_child"
    __table_args__ = (
        UniqueConstraint("person_id", "context_pk", "said_id"),
        Index(None, "registration_id", "said_id"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    registration_id: Mapped[int] = mapped_column(ForeignKey("registration.id"))
    context_pk: Mapped[int] = mapped_column(ForeignKey("context.id"))
    said_id: Mapped[str] = mapped_column(String(255))
    source: Mapped[GuardianSource] = mapped_column(EnumText(GuardianSource))
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


def record_guardianships(
    launch: Launch, guardian: Person, registration: Registration, context: Context
) -> None:
    """Link an observing parent to the children that the platform named, at most 20 a launch.

    An id is a `sub` of this registration, or the LTI 1.1 id of exactly one of its users. Children of a custom
    parameter, which a teacher can type, must besides be Learners of this class. Whoever cannot be told yet
    waits as a MentionedChild; only where the standard's meaning of the id is certain, an unknown one is
    remembered as a user who has not come yet. What a person removed stays removed.
    """
    said = _said(launch)
    if not said:
        _remember({}, guardian, context)
        return
    found = _found(said, registration.id, context.id)
    if platform_for(registration.kind).mentor_ids_are_subs:
        unknown = [id_ for id_, source in said.items() if id_ not in found and _is_signed(source)]
        found |= _newcomers(unknown, registration.id)
    linked = {
        id_: user_pk for id_, (user_pk, learns_here) in found.items() if _is_signed(said[id_]) or learns_here
    }
    known = set(
        db.session.scalars(select(Guardianship.child_pk).where(Guardianship.person_id == guardian.id))
    )
    for source in (GuardianSource.ROLE_SCOPE_MENTOR, GuardianSource.OBSERVEES):
        children = {pk for id_, pk in linked.items() if said[id_] is source} - known
        link_children(((guardian.id, child_pk) for child_pk in children), source, restoring=False)
    _remember({id_: said[id_] for id_ in said.keys() - linked.keys()}, guardian, context)


def settle_mentions(registration_id: int, user: LtiUser | None = None) -> None:
    """Link the parents whose launches named children that are known now: all of a registration's (after its
    roster was read), or those that may mean `user`. The number of statements does not depend on how many."""
    mentions = (
        select(
            MentionedChild.id,
            MentionedChild.person_id,
            MentionedChild.said_id,
            MentionedChild.source,
            LtiUser.id.label("user_pk"),
            LtiUser.sub,
            Membership.id.label("learns_here"),
        )
        .join(LtiUser, _has_id(MentionedChild.said_id) & (LtiUser.registration_id == registration_id))
        .outerjoin(Membership, _learns_in(MentionedChild.context_pk))
        .where(MentionedChild.registration_id == registration_id)
    )
    if user is not None:
        ids = [id_ for id_ in (user.sub, user.legacy_id) if id_ is not None]
        mentions = mentions.where(MentionedChild.said_id.in_(ids))
    rows: dict[int, list[Any]] = {}
    for row in db.session.execute(mentions):
        rows.setdefault(row.id, []).append(row)
    settled = []
    for candidates in rows.values():
        child = _the_one(candidates, candidates[0].said_id)
        if child is not None and (_is_signed(child.source) or child.learns_here is not None):
            settled.append(child)
    for source in {row.source for row in settled}:
        pairs = ((row.person_id, row.user_pk) for row in settled if row.source is source)
        link_children(pairs, source, restoring=False)
    for ids_ in _chunks(row.id for row in settled):
        db.session.execute(delete(MentionedChild).where(MentionedChild.id.in_(ids_)))


def link_children(pairs: Iterable[Pair], source: GuardianSource, *, restoring: bool) -> set[Pair]:
    """Make persons guardians of children; returns the pairs that were not linked before.

    `restoring`: somebody decided it just now, so it also brings back links that were removed.
    """
    made: set[Pair] = set()
    now = utc_now()
    for some in _chunks(sorted(set(pairs))):  # in one order, so that two at once do not wait for each other
        rows = [
            {"person_id": person_id, "child_pk": child_pk, "source": source, "created_at": now}
            for person_id, child_pk in some
        ]
        statement = _insert(Guardianship).values(rows)
        if restoring:
            statement = statement.on_conflict_do_update(
                index_elements=["person_id", "child_pk"],
                set_={"source": source, "created_at": now, "removed_at": None, "removed_by": None},
                where=Guardianship.removed_at.is_not(None),
            )
        else:
            statement = statement.on_conflict_do_nothing(index_elements=["person_id", "child_pk"])
        done = db.session.execute(statement.returning(Guardianship.person_id, Guardianship.child_pk))
        made |= {(row.person_id, row.child_pk) for row in done}
    return made


def chosen_child(login: ColumnElement[int], person: ColumnElement[int]) -> ColumnElement[int | None]:
    """SQL for the child a parent is here for: the one chosen last by this login, else the only one there is.
    NULL: none, or several and none chosen yet."""
    mine = (Guardianship.person_id == person, Guardianship.removed_at.is_(None))
    remembered = (
        select(Guardianship.child_pk)
        .join(
            PersonLink,
            (PersonLink.person_id == Guardianship.person_id) & (PersonLink.child_pk == Guardianship.child_pk),
        )
        .where(PersonLink.lti_user_pk == login, *mine)
    )
    only = select(func.min(Guardianship.child_pk)).where(*mine).having(func.count() == 1)
    return func.coalesce(remembered.scalar_subquery(), only.scalar_subquery())


def has_several_children(person: ColumnElement[int]) -> ColumnElement[bool]:
    """SQL for whether a parent has children to choose from."""
    mine = select(func.count() > 1).where(Guardianship.person_id == person, Guardianship.removed_at.is_(None))
    return mine.scalar_subquery()


def _said(launch: Launch) -> dict[str, GuardianSource]:
    """The ids a launch named, each with its better source, without the guardian's own."""
    said = dict.fromkeys(launch.mentor_of, GuardianSource.ROLE_SCOPE_MENTOR)
    for id_ in launch.observees:
        said.setdefault(id_, GuardianSource.OBSERVEES)
    own = (launch.sub, launch.legacy_user_id)
    return dict(islice(((id_, source) for id_, source in said.items() if id_ not in own), MAX_CHILDREN))


def _is_signed(source: GuardianSource) -> bool:
    return source is GuardianSource.ROLE_SCOPE_MENTOR


def _found(said: Collection[str], registration_id: int, context_pk: int) -> dict[str, tuple[int, bool]]:
    """By id: the user it means, and whether they are a Learner of the class."""
    query = (
        select(
            LtiUser.id.label("user_pk"), LtiUser.sub, LtiUser.legacy_id, Membership.id.label("learns_here")
        )
        .outerjoin(Membership, _learns_in(context_pk))
        .where(
            LtiUser.registration_id == registration_id,
            or_(LtiUser.sub.in_(said), LtiUser.legacy_id.in_(said)),
        )
    )
    rows = db.session.execute(query).all()
    found = {}
    for id_ in said:
        row = _the_one([row for row in rows if id_ in (row.sub, row.legacy_id)], id_)
        if row is not None:
            found[id_] = (row.user_pk, row.learns_here is not None)
    return found


def _the_one(candidates: Collection[Any], said_id: str) -> Any | None:
    """Whom an id means: the user whose `sub` it is, else the only one whose LTI 1.1 id it is."""
    by_sub = [row for row in candidates if row.sub == said_id]
    if by_sub:
        return by_sub[0]
    return next(iter(candidates)) if len(candidates) == 1 else None


def _has_id(said_id: Any) -> ColumnElement[bool]:
    return or_(LtiUser.sub == said_id, LtiUser.legacy_id == said_id)


def _learns_in(context_pk: Any) -> ColumnElement[bool]:
    """The condition of a join: the user's membership as an active Learner of the class."""
    return (
        (Membership.lti_user_pk == LtiUser.id)
        & (Membership.context_pk == context_pk)
        & (Membership.role == CourseRole.LEARNER)
        & (Membership.status == MembershipStatus.ACTIVE)
    )


def _newcomers(subs: Collection[str], registration_id: int) -> dict[str, tuple[int, bool]]:
    """Users who have not come yet, made by their `sub`."""
    if not subs:
        return {}
    rows = [{"registration_id": registration_id, "sub": sub, "created_at": utc_now()} for sub in sorted(subs)]
    db.session.execute(_insert(LtiUser).values(rows).on_conflict_do_nothing())
    made = select(LtiUser.sub, LtiUser.id).where(
        LtiUser.registration_id == registration_id, LtiUser.sub.in_(subs)
    )
    return {sub: (user_pk, False) for sub, user_pk in db.session.execute(made)}


def _remember(waiting: dict[str, GuardianSource], guardian: Person, context: Context) -> None:
    """Keep what this launch named in vain, and nothing of what an earlier one did in the same class: whom the
    platform does not name any more must not become somebody's child."""
    here = {"person_id": guardian.id, "context_pk": context.id}
    db.session.execute(delete(MentionedChild).filter_by(**here).where(MentionedChild.said_id.not_in(waiting)))
    if not waiting:
        return
    rows = [
        {**here, "registration_id": context.registration_id, "said_id": id_, "source": source}
        for id_, source in sorted(waiting.items())
    ]
    now = utc_now()
    db.session.execute(
        _insert(MentionedChild).values([{**row, "created_at": now} for row in rows]).on_conflict_do_nothing()
    )


def _insert(model: type[Model]) -> Any:
    return (sqlite if db.engine.dialect.name == "sqlite" else postgresql).insert(model)


def _chunks(items: Iterable[Any]) -> Iterator[list[Any]]:
    """Few enough for the parameters of one statement."""
    rest = iter(items)
    while some := list(islice(rest, ROWS_AT_ONCE)):
        yield some
