"""When rosters are read, and what a person decides about them. Reading itself is `lti_app.roster.reading`.

A class is read soon after its first launch that tells where the roster is, then daily while it is launched
at all, and when a teacher asks.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, func, literal, or_, select, update

from lti_app.clock import utc_now
from lti_app.delivery.services import wake_after_commit
from lti_app.extensions import db, insert_into
from lti_app.roster.models import LtiUser, Membership, MembershipStatus, ResourceLink
from lti_app.roster.sync_models import RosterSync, SyncState

EVERY = timedelta(days=1)
DORMANT = timedelta(days=60)
"""A class that nobody launched for so long is not read by itself."""
ASKED_EVERY = timedelta(minutes=1)
CLOCK_SLACK = timedelta(minutes=5)
"""`last_launch_at` is written at most this often, so a launch may be this much younger."""
MOST_LEAVING = 0.3
"""If more than this part of those whom the roster knew would leave, a person decides."""


def address_of(context_pk: int) -> str | None:
    """Where the class's roster is, as the newest link says; None: no launch ever told."""
    return db.session.scalar(
        select(ResourceLink.nrps_url)
        .where(ResourceLink.context_pk == context_pk, ResourceLink.nrps_url.is_not(None))
        .order_by(ResourceLink.id.desc())
        .limit(1)
    )


def sync_of(context_pk: int, link_pk: int | None = None) -> RosterSync | None:
    """How the reading of a class's roster stands, or of a link's list."""
    return db.session.scalar(select(RosterSync).where(_key(context_pk, link_pk)))


def address_told(registration_id: int, context_pk: int) -> None:
    """A launch told a new address of the class's roster: read it soon."""
    _ensure(registration_id, context_pk, None)
    db.session.execute(
        update(RosterSync)
        .where(_key(context_pk, None), RosterSync.state.in_((SyncState.IDLE, SyncState.FAILED)))
        .values(state=SyncState.QUEUED, due_at=utc_now(), code=None)
    )
    wake_after_commit()


def ask(
    registration_id: int,
    context_pk: int,
    link_pk: int | None = None,
    *,
    by: int | None = None,
    at_once: bool = False,
) -> bool:
    """Read the roster now. False: it was asked for less than a minute ago, which is enough unless it must be
    `at_once`."""
    _ensure(registration_id, context_pk, link_pk)
    now = utc_now()
    asked = db.session.scalar(
        update(RosterSync)
        .where(
            _key(context_pk, link_pk),
            or_(
                literal(at_once),
                RosterSync.requested_at.is_(None),
                RosterSync.requested_at <= now - ASKED_EVERY,
            ),
        )
        .values(requested_at=now, requested_by_pk=by)
        .returning(RosterSync.id)
    )
    if asked is None:
        return False
    # A reading under way goes on where it is; everybody, not only what changed, because somebody misses something.
    waiting = and_(RosterSync.id == asked, RosterSync.state != SyncState.RUNNING)
    db.session.execute(
        update(RosterSync).where(waiting).values(state=SyncState.QUEUED, differences_url=None, code=None)
    )
    db.session.execute(update(RosterSync).where(RosterSync.id == asked).values(due_at=now, attempts=0))
    wake_after_commit()
    return True


def leaving(sync: RosterSync) -> ColumnElement[bool]:
    """The condition on Membership for who leaves with a complete reading: whom a roster knew and this one does
    not list, or says to have left. Who launched since it began stays."""
    absent = Membership.roster_run != sync.run
    if sync.is_differences:
        absent = Membership.roster_run == -sync.run
    began = (sync.started_at or utc_now()) - CLOCK_SLACK
    return and_(
        Membership.context_pk == sync.context_pk,
        Membership.status == MembershipStatus.ACTIVE,
        absent,
        or_(Membership.last_launch_at.is_(None), Membership.last_launch_at < began),
    )


def count_known(context_pk: int) -> int:
    """How many active members of the class a roster ever listed."""
    known = and_(
        Membership.context_pk == context_pk,
        Membership.status == MembershipStatus.ACTIVE,
        Membership.roster_run.is_not(None),
    )
    return db.session.scalars(select(func.count()).select_from(Membership).where(known)).one()


def count_leaving(sync: RosterSync) -> int:
    """How many would leave."""
    return db.session.scalars(select(func.count()).select_from(Membership).where(leaving(sync))).one()


def names_leaving(sync: RosterSync, most: int) -> Sequence[str | None]:
    """The names of the first who would leave."""
    query = select(LtiUser.name).join(Membership, Membership.lti_user_pk == LtiUser.id).where(leaving(sync))
    return db.session.scalars(query.order_by(LtiUser.name.is_(None), LtiUser.name).limit(most)).all()


def let_leave(sync: RosterSync) -> int:
    """Make those who leave inactive; returns how many."""
    left = db.session.execute(
        update(Membership)
        .where(leaving(sync))
        .values(status=MembershipStatus.INACTIVE)
        .returning(Membership.id)
        .execution_options(synchronize_session=False)
    ).all()
    return len(left)


def decide(context_pk: int, run: int, *, apply: bool) -> RosterSync | None:
    """What a person decides about a reading that is held: let go who is not on it, or keep everybody.

    None: that reading is not held any more.
    """
    sync = db.session.scalar(
        select(RosterSync)
        .where(_key(context_pk, None), RosterSync.state == SyncState.HELD, RosterSync.run == run)
        .with_for_update()
    )
    if sync is None:
        return None
    sync.gone = let_leave(sync) if apply else 0
    settled(sync)
    return sync


def settled(sync: RosterSync) -> None:
    """A reading came to its end and was dealt with."""
    sync.state, sync.code = SyncState.IDLE, None
    sync.finished_at = now = utc_now()
    if not sync.is_differences:
        sync.full_at = now
    sync.known = count_known(sync.context_pk)
    sync.due_at = next_day(now) if sync.resource_link_pk is None else None


def next_day(now: datetime) -> datetime:
    """About a day later, so that not all classes of a school are read at once."""
    return now + EVERY * random.uniform(0.9, 1.1)


def is_dormant(context_pk: int, now: datetime) -> bool:
    """Whether nobody launched the class for sixty days."""
    recent = select(Membership.id).where(
        Membership.context_pk == context_pk, Membership.last_launch_at > now - DORMANT
    )
    return db.session.scalar(recent.limit(1)) is None


def _ensure(registration_id: int, context_pk: int, link_pk: int | None) -> None:
    db.session.execute(
        insert_into(RosterSync)
        .values(registration_id=registration_id, context_pk=context_pk, resource_link_pk=link_pk)
        .on_conflict_do_nothing()
    )


def _key(context_pk: int, link_pk: int | None) -> ColumnElement[bool]:
    return and_(RosterSync.context_pk == context_pk, RosterSync.resource_link_pk == link_pk)
