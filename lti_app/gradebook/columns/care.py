"""Looking after columns: the work that deletes, makes and changes them in the LMS, and reads what they show.

The model is `lti_app.roster.reading`: what is due is in the database, every step is repeatable, and no
transaction is held while the platform is called.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

import structlog
from sqlalchemy import and_, or_, select, update

from integrations.errors import PlatformError, PlatformRejected
from integrations.platforms.registry import platform_for
from lti_app.clock import utc_now
from lti_app.delivery.exchanges import FailedCall, note
from lti_app.delivery.services import due_registrations, reading, record_failure, wake_after_commit
from lti_app.delivery.turns import Turn
from lti_app.extensions import db, platform_services
from lti_app.gradebook.columns.reading import (
    EVERY_QUIET,
    Gradebook,
    Task,
    begin,
    finished,
    gone,
    locked,
    read,
)
from lti_app.gradebook.columns.upkeep import (
    TAKEN_UP_FOR,
    Wish,
    delete_there,
    edit_there,
    edited,
    found_there,
    made,
    mine,
    removed,
    take_up,
)
from lti_app.gradebook.models import LineItem, ReadingState
from lti_app.registrations.models import Registration, RegistrationStatus
from lti_app.registrations.services import service_access

ASKED_EVERY = timedelta(minutes=1)
_FIRST_WAIT, _LONGEST_WAIT = 300.0, 86_400.0
_WEEKLY = frozenset({"scope-not-granted", "context-closed"})
_PLATFORM_IS_AWAY = frozenset({"unreachable", "timeout", "tls-failed", "token-endpoint-busy"})

log = structlog.get_logger()


class ColumnCare:
    """The work of the delivery worker that looks after columns."""

    name = "columns"

    def due(self, now: datetime) -> Sequence[int]:
        """Active registrations with a due column that may be called and that nobody serves now."""
        return due_registrations(LineItem.registration_id, LineItem.due_at, now)

    def serve(self, turn: Turn) -> int:
        """Look after what is due until nothing is left, the turn is over or the platform is in trouble."""
        gradebook = _gradebook(turn.registration_id)
        done = 0
        while gradebook is not None and not turn.is_over():
            column_id = _next_due(turn.registration_id, utc_now())
            if column_id is None:
                break
            done += 1
            try:
                if not _look_after(turn, gradebook, column_id):
                    break
            except PlatformError as error:
                db.session.rollback()
                _note_failure(turn.registration_id, column_id, error)
                if error.retryable:
                    break
            except Exception as error:
                # A fault of ours with one column must not keep its school's scores waiting.
                db.session.rollback()
                log.error("column not looked after", column=column_id, error=type(error).__name__)
                _note_failure(turn.registration_id, column_id, PlatformError("internal-error"))
        return done


look_after = ColumnCare()


def request_reading(columns: Collection[int], now: datetime) -> int:
    """Read these columns as soon as possible; returns how many will be.

    One that was begun less than a minute ago, waits already or is not in the LMS yet is left as it is.
    """
    began = LineItem.reading_began_at
    which = and_(
        LineItem.id.in_(columns),
        LineItem.url.is_not(None),
        LineItem.reading != ReadingState.QUEUED,
        or_(began.is_(None), began <= now - ASKED_EVERY),
        or_(LineItem.reading != ReadingState.RUNNING, began <= now - TAKEN_UP_FOR),
    )
    in_order = select(LineItem.id).where(which).order_by(LineItem.kind, LineItem.id)
    asked = db.session.scalars(in_order.with_for_update(key_share=True)).all()
    if asked:
        values = {"reading": ReadingState.QUEUED, "reading_error": None, "due_at": now, "attempts": 0}
        queued = update(LineItem).where(LineItem.id.in_(asked)).values(values)
        db.session.execute(queued, execution_options={"synchronize_session": False})
        wake_after_commit()
    return len(asked)


def _gradebook(registration_id: int) -> Gradebook | None:
    """None when the platform was switched off meanwhile."""
    with reading():
        registration = db.session.get_one(Registration, registration_id)
        if registration.status is not RegistrationStatus.ACTIVE:
            return None
        return Gradebook(
            platform_services().ags, service_access(registration), platform_for(registration.kind)
        )


def _next_due(registration_id: int, now: datetime) -> int | None:
    due = (LineItem.registration_id == registration_id, LineItem.due_at <= now)
    with reading():
        return db.session.scalar(
            select(LineItem.id).where(*due).order_by(LineItem.due_at, LineItem.id).limit(1)
        )


def _look_after(turn: Turn, gradebook: Gradebook, column_id: int) -> bool:
    """Do all that is due for a column. False: the lease was lost."""
    wish = take_up(column_id)
    if wish is None:
        return True
    if wish.deletion:
        delete_there(gradebook, wish)
        return removed(turn, wish)
    if wish.url is None:
        return made(turn, wish, found_there(gradebook, wish))
    if wish.edit:
        edit_there(gradebook, wish)
        if not edited(turn, wish):
            return False
    task = _begin(turn, wish)
    return task is not None and _read(turn, gradebook, task)


def _read(turn: Turn, gradebook: Gradebook, task: Task) -> bool:
    try:
        return read(turn, gradebook, task)
    except PlatformRejected as error:
        if error.code != "not-found":
            raise
        db.session.rollback()
        return gone(turn, task)


def _begin(turn: Turn, wish: Wish) -> Task | None:
    column = mine(turn, wish.column_id)
    if column is None or column.url is None:
        db.session.rollback()
        return None
    task = begin(column, utc_now())
    db.session.commit()
    return task


def _note_failure(registration_id: int, column_id: int, error: PlatformError) -> None:
    """Try again later: what needs somebody to change a setting weekly, all else soon and at last daily."""
    now = utc_now()
    # The slot before the column, as everybody takes them.
    if error.retryable and (
        error.retry_after is not None or error.status == 429 or error.code in _PLATFORM_IS_AWAY
    ):
        record_failure(registration_id, error.code, now, retry_after=error.retry_after)
    column = locked(column_id)
    if column is None:
        db.session.commit()
        return
    if error.code in _WEEKLY:
        due_at = now + EVERY_QUIET
    else:
        wait = min(_FIRST_WAIT * 2.0 ** min(column.attempts, 20), _LONGEST_WAIT)
        due_at = now + timedelta(seconds=max(wait * random.uniform(1, 1.2), error.retry_after or 0))
    column.attempts += 1
    finished(column, error.code[:64], due_at)
    if error.exchange is not None:
        note(registration_id, FailedCall(error.code, error.exchange), now)
    db.session.commit()
