"""The slot of a registration: a lease that makes one worker at a time serve it, and a circuit breaker."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from flask import current_app
from sqlalchemy import ColumnElement, Update, and_, event, or_, select, update
from sqlalchemy.orm import InstrumentedAttribute

from lti_app.delivery.models import DeliverySlot
from lti_app.extensions import db, insert_into, start_as_reader
from lti_app.registrations.models import Registration, RegistrationStatus

FIRST_WAIT = 5.0
LONGEST_LEASE = 600.0
LONGEST_WAIT = 15 * 60.0
LONGEST_REST = 100_000.0
"""Seconds: what a platform may ask for at most (`integrations.answers.retry_after`), with jitter."""
_WAKING = "wakes_delivery"


def take_slot(registration_id: int, holder: str, now: datetime, seconds: float) -> bool:
    """Lease the registration to `holder` (unique per thread) until `seconds` from now, unless another
    worker has it or its circuit is open. One conditional upsert, so that two workers cannot both win."""
    until = now + timedelta(seconds=seconds)
    free = or_(is_free(now), DeliverySlot.holder == holder)
    taken = db.session.scalar(
        insert_into(DeliverySlot)
        .values(registration_id=registration_id, holder=holder, lease_until=until, failures=0)
        .on_conflict_do_update(
            index_elements=["registration_id"],
            set_={"holder": holder, "lease_until": until, "offered_until": None},
            where=free & _may_be_called(now),
        )
        .returning(DeliverySlot.registration_id)
    )
    return taken is not None


def is_free(now: datetime) -> ColumnElement[bool]:
    """No lease, one that has run out, or one that a clock far ahead of ours wrote."""
    until = DeliverySlot.lease_until
    return or_(until.is_(None), until <= now, until > now + timedelta(seconds=LONGEST_LEASE))


def may_be_served(now: datetime) -> ColumnElement[bool]:
    """On Registration outer-joined with DeliverySlot: active, served by nobody, and not left alone after a
    failure."""
    return and_(Registration.status == RegistrationStatus.ACTIVE, is_free(now), _may_be_called(now))


def _may_be_called(now: datetime) -> ColumnElement[bool]:
    """No rest, one that is over, or one that a clock far ahead of ours wrote."""
    until = DeliverySlot.blocked_until
    return or_(until.is_(None), until <= now, until > now + timedelta(seconds=LONGEST_REST))


def due_registrations(
    registration_id: InstrumentedAttribute[int], due_at: InstrumentedAttribute[Any], now: datetime
) -> Sequence[int]:
    """The registrations that may be served and have a row that is due, the longest waiting first.

    Both columns are of one table with an index on them: each registration costs one look into it, however
    many rows wait.
    """
    first_due = (
        select(due_at)
        .where(registration_id == Registration.id, due_at <= now)
        .order_by(due_at)
        .limit(1)
        .scalar_subquery()
    )
    found = (
        select(Registration.id, first_due.label("first_due"))
        .outerjoin(DeliverySlot, DeliverySlot.registration_id == Registration.id)
        .where(may_be_served(now))
        .subquery()
    )
    return db.session.scalars(
        select(found.c.id).where(found.c.first_due.is_not(None)).order_by(found.c.first_due, found.c.id)
    ).all()


def renew_slot(registration_id: int, holder: str, now: datetime, seconds: float) -> bool:
    """Lengthen a lease. False: it was lost (it had run out and somebody else took it)."""
    renewed = db.session.scalar(
        _mine(registration_id, holder)
        .values(lease_until=now + timedelta(seconds=seconds))
        .returning(DeliverySlot.registration_id)
    )
    return renewed is not None


def release_slot(registration_id: int, holder: str) -> None:
    """Give the lease back; nothing happens if it was lost."""
    db.session.execute(_mine(registration_id, holder).values(holder=None, lease_until=None))


def record_success(registration_id: int, now: datetime) -> None:
    """The platform works: close the circuit."""
    db.session.execute(
        update(DeliverySlot)
        .where(DeliverySlot.registration_id == registration_id)
        .values(failures=0, blocked_until=None, last_error=None, last_success_at=now)
    )


def record_failure(
    registration_id: int, code: str, now: datetime, *, retry_after: float | None = None
) -> datetime:
    """The platform as a whole failed: leave it alone until the returned moment.

    That is what the platform asked for (`retry_after`, seconds), else 5 s doubled with each failure in a
    row, with jitter, at most 15 minutes.
    """
    find = select(DeliverySlot.failures).where(DeliverySlot.registration_id == registration_id)
    failures = (db.session.scalar(find.with_for_update()) or 0) + 1
    # "At once" (or a date that is over) from a platform that fails would be asked again and again without a rest.
    if not retry_after:
        wait = min(FIRST_WAIT * 2.0 ** min(failures - 1, 20) * random.uniform(1, 1.5), LONGEST_WAIT)
    else:
        wait = retry_after * random.uniform(1, 1.1)
    until = now + timedelta(seconds=wait)
    db.session.execute(
        update(DeliverySlot)
        .where(DeliverySlot.registration_id == registration_id)
        .values(failures=failures, blocked_until=until, last_error=code[:64])
    )
    return until


def rest(registration_id: int, until: datetime) -> None:
    """The platform asked for fewer calls, or will soon: leave it alone until then. That is no failure."""
    blocked = DeliverySlot.blocked_until
    db.session.execute(
        update(DeliverySlot)
        .where(DeliverySlot.registration_id == registration_id, or_(blocked.is_(None), blocked < until))
        .values(blocked_until=until)
    )


def learn_clock(registration_id: int, ahead: float) -> None:
    """Remember by how many seconds the platform's clock is ahead of ours."""
    db.session.execute(
        update(DeliverySlot)
        .where(DeliverySlot.registration_id == registration_id)
        .values(clock_ahead=round(ahead * 1000))
    )


def unblock(registration_id: int) -> None:
    """End the rest that a platform in trouble gets: a person asks to try again now."""
    db.session.execute(
        update(DeliverySlot).where(DeliverySlot.registration_id == registration_id).values(blocked_until=None)
    )


@contextmanager
def reading() -> Iterator[None]:
    """A transaction that only reads: it takes no lock on SQLite, and ends with the block."""
    start_as_reader(True)
    try:
        yield
    finally:
        db.session.rollback()
        start_as_reader(False)


def wake_after_commit() -> None:
    """Wake this process's worker when the current session commits, so that nothing waits for its next look."""
    session = db.session()
    if session.info.get(_WAKING):
        return
    session.info[_WAKING] = True
    event.listen(session, "after_commit", _wake)


def _wake(_session: object) -> None:
    worker = current_app.extensions.get("embedded_worker")
    if worker is not None:
        worker.wake()


def _mine(registration_id: int, holder: str) -> Update:
    return update(DeliverySlot).where(
        DeliverySlot.registration_id == registration_id, DeliverySlot.holder == holder
    )
