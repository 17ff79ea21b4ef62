"""Reading rosters: the work of the delivery worker that keeps classes in step with their platforms.

Each page is written in one short transaction together with the address of the next one, so that any worker goes
on where the last one stopped. Nobody leaves by an incomplete reading; and a complete one that lists nobody,
misses many, or has entries that cannot be read waits for a person.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice

import structlog
from sqlalchemy import select

from integrations.errors import PlatformError, PlatformUnavailable
from integrations.lti.nrps import NrpsClient, first_page
from integrations.platforms.base import Platform
from integrations.platforms.registry import platform_for
from integrations.terms import MemberPage, ServiceAccess
from lti_app.clock import utc_now
from lti_app.delivery.services import due_registrations, reading
from lti_app.delivery.turns import Turn
from lti_app.extensions import db, platform_services
from lti_app.registrations.models import Registration, RegistrationStatus
from lti_app.registrations.services import service_access
from lti_app.roster.models import ResourceLink
from lti_app.roster.outcomes import finish, note_failure, set_failed
from lti_app.roster.pages import CHUNK, Reading, write_members
from lti_app.roster.sync import address_of, is_dormant, next_day
from lti_app.roster.sync_models import RosterSync, SyncState

STALE = timedelta(hours=6)
"""A reading that began so long ago begins anew: its first pages are too old."""
FULL_EVERY = timedelta(days=7)
"""Differences add up only if nothing was ever missed, so everybody is read this often."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Reader:
    """What reads from one platform."""

    nrps: NrpsClient
    access: ServiceAccess
    platform: Platform


class RosterReading:
    """The work of the delivery worker that reads rosters."""

    name = "rosters"

    def due(self, now: datetime) -> Sequence[int]:
        """Active registrations with a due roster that may be called and that nobody serves now."""
        return due_registrations(RosterSync.registration_id, RosterSync.due_at, now)

    def serve(self, turn: Turn) -> int:
        """Read what is due until nothing is left or the turn is over; returns how many steps were done."""
        reader = _reader(turn.registration_id)
        done = 0
        while reader is not None and not turn.is_over():
            sync_id = _next_due(turn.registration_id, utc_now())
            if sync_id is None:
                break
            done += 1
            try:
                task = _take_up(sync_id, reader.platform)
                if task is not None and not _read(turn, reader, task):
                    break
            except PlatformError as error:
                db.session.rollback()
                note_failure(_locked(sync_id), error)
                db.session.commit()
            except Exception as error:
                # A fault of ours with one roster must not keep its school's scores waiting.
                db.session.rollback()
                log.error("roster not read", sync=sync_id, error=type(error).__name__)
                set_failed(_locked(sync_id), "internal-error")
                db.session.commit()
        return done


read_rosters = RosterReading()


def _reader(registration_id: int) -> _Reader | None:
    """None when the platform was switched off meanwhile."""
    with reading():
        registration = db.session.get_one(Registration, registration_id)
        if registration.status is not RegistrationStatus.ACTIVE:
            return None
        return _Reader(
            platform_services().nrps, service_access(registration), platform_for(registration.kind)
        )


def _next_due(registration_id: int, now: datetime) -> int | None:
    due = (RosterSync.registration_id == registration_id, RosterSync.due_at <= now)
    with reading():
        return db.session.scalar(
            select(RosterSync.id).where(*due).order_by(RosterSync.due_at, RosterSync.id).limit(1)
        )


def _take_up(sync_id: int, platform: Platform) -> Reading | None:
    """Go on with a reading, or begin one. None: there is nothing to read now."""
    sync, now = _locked(sync_id), utc_now()
    under_way = sync.state is SyncState.RUNNING and sync.next_url is not None
    if not under_way or sync.started_at is None or now - sync.started_at > STALE:
        by_itself = sync.state is not SyncState.QUEUED and sync.state is not SyncState.RUNNING
        if by_itself and is_dormant(sync.context_pk, now):
            sync.due_at = next_day(now)
            db.session.commit()
            return None
        if not _begin(sync, platform, now):
            db.session.commit()
            return None
    task = _task(sync)
    db.session.commit()
    return task


def _begin(sync: RosterSync, platform: Platform, now: datetime) -> bool:
    """Start a new reading: of the differences where the last one offered them, else of everybody."""
    address = address_of(sync.context_pk)
    if address is None:
        set_failed(sync, "no-address")
        return False
    recent = sync.full_at is not None and now - sync.full_at < FULL_EVERY
    sync.is_differences = sync.differences_url is not None and recent
    if sync.is_differences:
        sync.next_url = sync.differences_url
    else:
        rlid = None
        if sync.resource_link_pk is not None:
            rlid = db.session.get_one(ResourceLink, sync.resource_link_pk).resource_link_id
        sync.next_url = first_page(address, platform, rlid=rlid)
    for name in ("attempts", "pages", "seen", "added", "changed", "gone", "unreadable", "named", "mailed"):
        setattr(sync, name, 0)
    sync.state, sync.code, sync.run = SyncState.RUNNING, None, sync.run + 1
    sync.started_at = sync.due_at = now
    return True


def _task(sync: RosterSync) -> Reading:
    return Reading(
        sync_id=sync.id,
        registration_id=sync.registration_id,
        context_pk=sync.context_pk,
        link_pk=sync.resource_link_pk,
        run=sync.run,
        url=sync.next_url or "",
        pages=sync.pages,
    )


def _read(turn: Turn, reader: _Reader, task: Reading) -> bool:
    """Read pages until the end, or until the turn is over. False: the lease was lost, another worker reads."""
    for page in reader.nrps.pages(reader.access, task.url, reader.platform, already=task.pages):
        if not _write_page(turn, task, page):
            return False
        if page.next_url is None or turn.is_over():
            break
        task = replace(task, url=page.next_url, pages=task.pages + 1)
    return True


def _write_page(turn: Turn, task: Reading, page: MemberPage) -> bool:
    """Write a page, a large one in several transactions; the last of them takes the reading to the next page."""
    seen = repeated = 0
    members = iter(page.members)
    chunk = list(islice(members, CHUNK))
    while True:
        following = list(islice(members, CHUNK))
        sync = _mine(turn, task)
        if sync is None:
            db.session.rollback()
            return False
        written = write_members(task, chunk)
        for name in ("seen", "added", "changed", "named", "mailed"):
            setattr(sync, name, getattr(sync, name) + getattr(written, name))
        seen, repeated = seen + written.seen, repeated + written.repeated
        if not following:
            if repeated and not seen:
                # Addresses that lead in a circle across turns, where nobody remembers the earlier ones.
                raise PlatformUnavailable("too-many-pages")
            _turn_page(sync, page)
            db.session.commit()
            return True
        db.session.commit()
        chunk = following


def _mine(turn: Turn, task: Reading) -> RosterSync | None:
    """The row, locked, if this worker still has the platform and the reading is still this one."""
    if not turn.renew(utc_now()):
        return None
    sync = _locked(task.sync_id)
    return sync if sync.state is SyncState.RUNNING and sync.run == task.run else None


def _turn_page(sync: RosterSync, page: MemberPage) -> None:
    if sync.pages == 0:
        # Of the first page: it tells changes since then, so also those during this reading.
        sync.differences_url = page.differences_url if sync.resource_link_pk is None else None
    sync.pages += 1
    sync.unreadable += page.unreadable
    sync.next_url, sync.attempts, sync.code = page.next_url, 0, None
    if page.next_url is None:
        finish(sync)


def _locked(sync_id: int) -> RosterSync:
    query = select(RosterSync).where(RosterSync.id == sync_id).with_for_update()
    return db.session.scalars(query.execution_options(populate_existing=True)).one()
