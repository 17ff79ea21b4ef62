"""Writing a part of a roster into the database: a few statements, however many members.

**Roles.** What a launch said stands until the next launch or until the person leaves: some platforms call the
same assistant an Instructor at launch and a Learner on the roster (captures 04 and 25). The roster decides for
those who never launched, and for who left and is listed again. Of somebody listed twice the first entry
counts. A Mentor of the roster is a parent, as at launch.

**Names.** What the platform said last. A roster that leaves out somebody's name takes away only what a roster
gave: whose name came by a launch keeps it until the next launch. Only when a roster used to bring names and
brings none at all any more, they are forgotten (`lti_app.roster.outcomes`).

**Nobody leaves here.** Who is said to be inactive or deleted is marked, and leaves with the others when the
reading is complete.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import Row, Select, Table, and_, bindparam, exists, or_, select, update
from sqlalchemy.orm import aliased

from integrations.terms import CourseRole, Member, MemberStatus
from lti_app.extensions import db, insert_into
from lti_app.roster.models import LtiUser, Membership, MembershipStatus
from lti_app.roster.sync_models import LinkMember

CHUNK = 500
"""Members written in one transaction."""

_USER = cast(Table, LtiUser.__table__)
_MEMBERSHIP = cast(Table, Membership.__table__)
_LINK_MEMBER = cast(Table, LinkMember.__table__)
_SET_USER = (
    update(_USER)
    .where(_USER.c.id == bindparam("id_"))
    .values({name: bindparam(f"{name}_") for name in ("name", "email", "sis_id", "legacy_id")})
)
# Again in the statement: the person may have launched since we looked.
_SET_ROLE = (
    update(_MEMBERSHIP)
    .where(
        _MEMBERSHIP.c.id == bindparam("id_"),
        or_(_MEMBERSHIP.c.last_launch_at.is_(None), _MEMBERSHIP.c.status == MembershipStatus.INACTIVE),
    )
    .values(role=bindparam("role_"))
)


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading of a roster (`link_pk`: of a link's list), and where it goes on: at `url`."""

    sync_id: int
    registration_id: int
    context_pk: int
    link_pk: int | None
    run: int
    url: str
    pages: int


@dataclass(frozen=True, slots=True)
class Written:
    """What a part of a roster brought. `repeated` were on an earlier page of the same reading."""

    seen: int
    repeated: int
    added: int
    changed: int
    named: int
    mailed: int


def write_members(reading: Reading, members: Sequence[Member]) -> Written:
    """Write at most CHUNK members; commits nothing."""
    present = _present(members)
    leaving = {one.user_id for one in members if one.status is not MemberStatus.ACTIVE} - present.keys()
    known = _known(reading, [*present, *leaving])
    fresh = {sub: one for sub, one in present.items() if not _was_seen(known.get(sub), reading)}
    ids = {sub: row.id for sub, row in known.items()} | _new_users(reading, fresh, known)
    changed = _update_users(fresh, known) | _update_roles(fresh, known)
    added = {sub for sub in fresh if sub not in known or not _is_active(known[sub])}
    _enter(reading, {ids[sub]: one.roles.course_role for sub, one in fresh.items()}, added, ids)
    if reading.link_pk is None:
        _mark_leaving(reading, [known[sub].id for sub in leaving if sub in known])
    return Written(
        seen=len(fresh),
        repeated=len(present) - len(fresh),
        added=len(added),
        changed=len(changed - added),
        named=sum(one.name is not None for one in fresh.values()),
        mailed=sum(one.email is not None for one in fresh.values()),
    )


def _present(members: Sequence[Member]) -> dict[str, Member]:
    """Who is in the course. As at launch, who has no role in it and a teacher's preview are not."""
    found: dict[str, Member] = {}
    for one in members:
        roles = one.roles
        is_member = roles.course_role is not CourseRole.NONE and not roles.is_test_user
        if one.status is MemberStatus.ACTIVE and is_member:
            found.setdefault(one.user_id, one)
    return found


def _known(reading: Reading, subs: Sequence[str]) -> dict[str, Row[Any]]:
    """What we have of these people, by sub; `launched`: their names came by a launch, of whatever class."""
    anywhere = aliased(Membership)
    launched = exists().where(anywhere.lti_user_pk == LtiUser.id, anywhere.last_launch_at.is_not(None))
    query = (
        select(
            LtiUser.id,
            LtiUser.sub,
            LtiUser.name,
            LtiUser.email,
            LtiUser.sis_id,
            LtiUser.legacy_id,
            launched.label("launched"),
            Membership.id.label("membership_id"),
            Membership.role,
            Membership.status,
            Membership.last_launch_at,
            Membership.roster_run,
            LinkMember.run.label("link_run"),
        )
        .outerjoin(
            Membership,
            and_(Membership.lti_user_pk == LtiUser.id, Membership.context_pk == reading.context_pk),
        )
        .outerjoin(
            LinkMember,
            and_(LinkMember.lti_user_pk == LtiUser.id, LinkMember.resource_link_pk == reading.link_pk),
        )
        .where(LtiUser.registration_id == reading.registration_id, LtiUser.sub.in_(subs))
    )
    return {row.sub: row for row in db.session.execute(cast(Select[Any], query))}


def _was_seen(row: Row[Any] | None, reading: Reading) -> bool:
    if row is None:
        return False
    last = row.roster_run if reading.link_pk is None else row.link_run
    return bool(last == reading.run)


def _is_active(row: Row[Any]) -> bool:
    return row.membership_id is not None and row.status is MembershipStatus.ACTIVE


def _new_users(reading: Reading, fresh: Mapping[str, Member], known: Mapping[str, Any]) -> dict[str, int]:
    """The ids of those who were unknown, inserted; a launch may be quicker."""
    rows = [
        {
            "registration_id": reading.registration_id,
            "sub": sub,
            "name": one.name,
            "email": one.email,
            "sis_id": one.sis_id,
            "legacy_id": one.legacy_user_id,
        }
        for sub, one in sorted(fresh.items())
        if sub not in known
    ]
    if not rows:
        return {}
    db.session.connection().execute(insert_into(_USER).on_conflict_do_nothing(), rows)
    query = select(LtiUser.sub, LtiUser.id).where(
        LtiUser.registration_id == reading.registration_id, LtiUser.sub.in_([row["sub"] for row in rows])
    )
    return {row.sub: row.id for row in db.session.execute(query)}


def _update_users(fresh: Mapping[str, Member], known: Mapping[str, Row[Any]]) -> set[str]:
    """The subs whose name, e-mail or ids are not what the roster says."""
    rows, subs = [], set()
    for sub in sorted(fresh.keys() & known.keys()):
        row, one = known[sub], fresh[sub]
        said = {"name": one.name, "email": one.email, "sis_id": one.sis_id}
        if row.launched:
            said = {name: value or getattr(row, name) for name, value in said.items()}
        said["legacy_id"] = one.legacy_user_id or row.legacy_id
        if any(getattr(row, name) != value for name, value in said.items()):
            subs.add(sub)
            rows.append({"id_": row.id, **{f"{name}_": value for name, value in said.items()}})
    if rows:
        db.session.connection().execute(_SET_USER, rows)
    return subs


def _update_roles(fresh: Mapping[str, Member], known: Mapping[str, Row[Any]]) -> set[str]:
    """The subs whose role the roster decides, and says differently."""
    rows, subs = [], set()
    for sub in sorted(fresh.keys() & known.keys()):
        row, role = known[sub], fresh[sub].roles.course_role
        if row.membership_id is None or row.role is role:
            continue
        if row.last_launch_at is None or not _is_active(row):
            subs.add(sub)
            rows.append({"id_": row.membership_id, "role_": role})
    if rows:
        db.session.connection().execute(_SET_ROLE, rows)
    return subs


def _enter(
    reading: Reading, roles: Mapping[int, CourseRole], added: set[str], ids: Mapping[str, int]
) -> None:
    """Make everybody here an active member, found by this reading."""
    if not roles:
        return
    run = reading.run if reading.link_pk is None else None
    rows = [
        {
            "context_pk": reading.context_pk,
            "lti_user_pk": id_,
            "role": roles[id_],
            "status": MembershipStatus.ACTIVE,
            "roster_run": run,
        }
        for id_ in sorted(ids[sub] for sub in added)
    ]
    connection = db.session.connection()
    if rows:
        connection.execute(insert_into(_MEMBERSHIP).on_conflict_do_nothing(), rows)
    stamp: dict[str, Any] = {"status": MembershipStatus.ACTIVE}
    if run is not None:
        stamp["roster_run"] = run
    connection.execute(
        update(_MEMBERSHIP)
        .where(
            _MEMBERSHIP.c.context_pk == reading.context_pk,
            _MEMBERSHIP.c.lti_user_pk.in_(sorted(roles)),
            or_(*(_MEMBERSHIP.c[name].is_distinct_from(value) for name, value in stamp.items())),
        )
        .values(stamp)
    )
    if reading.link_pk is not None:
        link_rows = [
            {"resource_link_pk": reading.link_pk, "lti_user_pk": id_, "run": reading.run}
            for id_ in sorted(roles)
        ]
        insert = insert_into(_LINK_MEMBER)
        key = ["resource_link_pk", "lti_user_pk"]
        connection.execute(
            insert.on_conflict_do_update(index_elements=key, set_={"run": insert.excluded.run}), link_rows
        )


def _mark_leaving(reading: Reading, ids: Sequence[int]) -> None:
    """Note whom the platform itself says to have left, with the reading's number below zero."""
    if not ids:
        return
    db.session.execute(
        update(_MEMBERSHIP)
        .where(
            _MEMBERSHIP.c.context_pk == reading.context_pk,
            _MEMBERSHIP.c.lti_user_pk.in_(sorted(ids)),
            _MEMBERSHIP.c.roster_run.is_distinct_from(reading.run),
        )
        .values(roster_run=-reading.run)
    )
