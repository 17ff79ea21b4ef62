"""Reading what a column shows and settling it with what was sent: chunk by chunk, in short transactions.

Who is absent is known only at the end of a whole reading; one that breaks off settles nobody by absence.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import structlog
from sqlalchemy import func, select

from integrations.errors import PlatformRejected, PlatformUnavailable
from integrations.lti.ags import AgsClient
from integrations.platforms.base import Platform
from integrations.terms import LineItem as PlatformsItem
from integrations.terms import Outcome, Result, ServiceAccess
from lti_app.clock import utc_now
from lti_app.delivery.models import DeliverySlot
from lti_app.delivery.services import reading, record_success
from lti_app.delivery.turns import Turn
from lti_app.extensions import db
from lti_app.gradebook.columns.compare import Habits
from lti_app.gradebook.columns.settling import (
    FRESH,
    Findings,
    hold_all,
    judge_column,
    settle_absent,
    settle_shown,
    try_one_swallowed,
)
from lti_app.gradebook.models import LineItem, ReadingState, Score

CHUNK = 500
MOST_SECONDS = 180.0
"""Its school's scores wait meanwhile; 10,000 results take some 10 s."""
EVERY, EVERY_QUIET = timedelta(days=1), timedelta(days=7)
QUIET = timedelta(days=60)
"""A column to which nothing was sent for so long is read weekly."""
_BEFORE_LOOK = timedelta(minutes=30)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Gradebook:
    """What talks to one platform's gradebook."""

    ags: AgsClient
    access: ServiceAccess
    platform: Platform


@dataclass(frozen=True, slots=True)
class Task:
    """A column as it was when its reading began; `began` tells this reading from every other."""

    column_id: int
    context_pk: int
    url: str
    began: datetime
    maximum: int | None
    ends_at: datetime | None


class _LeaseLost(Exception):
    """Another worker has the platform, or the reading is not ours any more. Nothing is written."""


def begin(column: LineItem, now: datetime) -> Task:
    """Note that the column is being read. Its row is locked."""
    assert column.url is not None
    if column.reading_began_at is not None:
        now = max(now, column.reading_began_at + timedelta(milliseconds=1))
    column.reading, column.reading_began_at = ReadingState.RUNNING, now
    return Task(column.id, column.context_pk, column.url, now, column.maximum, column.ends_at)


def read(turn: Turn, gradebook: Gradebook, task: Task) -> bool:
    """Read and settle the whole column. False: the lease was lost, or the worker is stopping.

    Raises what `AgsClient.stream_results` raises; PlatformRejected `not-found` when the column is gone.
    """
    habits = Habits(gradebook.platform.result_decimals, gradebook.platform.scales_scores)
    findings = Findings(
        column_id=task.column_id,
        context_pk=task.context_pk,
        began=task.began,
        habits=habits,
        maximum_before=None if task.maximum is None else Decimal(task.maximum) / 100,
        ends_at=task.ends_at,
        ahead=_clock_ahead(turn.registration_id),
    )
    try:
        item = _look_at(gradebook, task)
        if item is not None:
            findings.maximum = item.maximum if item.maximum > 0 else None
            findings.ends_at = item.ends_at or task.ends_at
        _settle_everybody(turn, gradebook, task, findings, seen=item is not None)
    except _LeaseLost:
        db.session.rollback()
        return False
    return True


def gone(turn: Turn, task: Task) -> bool:
    """The LMS has this column no more: nothing can be sent to it. False: the lease was lost."""
    try:
        column = _write(turn, task, lambda column: hold_all(column.id, Outcome.COLUMN_GONE))
        finished(column, "not-found", utc_now() + _jittered(EVERY_QUIET))
        db.session.commit()
    except _LeaseLost:
        db.session.rollback()
        return False
    return True


def finished(column: LineItem, error: str | None, due_at: datetime | None) -> None:
    """Note how what was done for a column went, and when to look after it next."""
    now = utc_now()
    column.reading = ReadingState.FAILED if error else ReadingState.DONE
    column.reading_error, column.due_at = error, due_at
    if not error:
        column.read_at, column.attempts = now, 0
    if error is None and (column.wants_edit or column.wants_deletion):
        column.due_at = now


def _clock_ahead(registration_id: int) -> timedelta:
    with reading():
        slot = db.session.get(DeliverySlot, registration_id)
        return timedelta(milliseconds=slot.clock_ahead) if slot else timedelta()


def _look_at(gradebook: Gradebook, task: Task) -> PlatformsItem | None:
    """The column itself; None where the platform does not let us look at columns."""
    try:
        return gradebook.ags.line_item(gradebook.access, task.url, gradebook.platform)
    except PlatformRejected as error:
        if error.code in ("not-found", "context-closed"):
            raise
        return None


def _settle_everybody(
    turn: Turn, gradebook: Gradebook, task: Task, findings: Findings, *, seen: bool
) -> None:
    until = time.monotonic() + MOST_SECONDS
    try:
        for results in gradebook.ags.stream_results(gradebook.access, task.url, gradebook.platform):
            _settle(turn, task, findings, results)
            if turn.stopping():
                _put_back(turn, task)
                raise _LeaseLost
            if time.monotonic() > until:
                raise PlatformUnavailable("timeout", "a column without end")
    except PlatformRejected as error:
        if error.code == "not-found" and seen:
            # The column is there, so this says something else.
            raise PlatformRejected("refused", status=error.status, exchange=error.exchange) from error
        raise
    _write(turn, task, lambda _: judge_column(findings, utc_now()))
    db.session.commit()
    left = CHUNK
    while left == CHUNK:
        column = _write(turn, task, lambda _: None)
        left = settle_absent(findings, column, CHUNK, utc_now())
        db.session.commit()
    _finish(turn, task, findings)


def _settle(turn: Turn, task: Task, findings: Findings, results: list[Result]) -> None:
    _write(turn, task, lambda column: settle_shown(findings, column, results, utc_now()))
    db.session.commit()


def _finish(turn: Turn, task: Task, findings: Findings) -> None:
    now = utc_now()
    column = _write(turn, task, lambda _: record_success(turn.registration_id, now))
    last = db.session.scalar(select(func.max(Score.sent_at)).where(Score.line_item_id == column.id))
    due_at = now + _jittered(EVERY if last is not None and last > now - QUIET else EVERY_QUIET)
    if findings.too_fresh:
        due_at = now + FRESH
    if findings.swallows:
        try_one_swallowed(column, due_at - _BEFORE_LOOK)
    if findings.maximum is not None:
        column.maximum = int(findings.maximum * 100)
    finished(column, None, due_at)
    db.session.commit()
    log.info("column read", column=column.id, grades=findings.grades, swallows=findings.swallows)


def _put_back(turn: Turn, task: Task) -> None:
    """The worker stops: the next one begins anew."""
    column = _write(turn, task, lambda _: None)
    column.reading, column.due_at = ReadingState.QUEUED, utc_now()
    db.session.commit()


def _write(turn: Turn, task: Task, change: Callable[[LineItem], Any]) -> LineItem:
    """Within a new transaction, if this worker still has the platform and the column is still being read by
    it: `change`. Returns the locked row; the caller commits. Raises _LeaseLost."""
    if not turn.renew(utc_now()):
        raise _LeaseLost
    column = locked(task.column_id)
    if column is None or (column.reading, column.reading_began_at, column.url) != (
        ReadingState.RUNNING,
        task.began,
        task.url,
    ):
        raise _LeaseLost
    change(column)
    return column


def locked(column_id: int, *, alone: bool = False) -> LineItem | None:
    """The column's row as it is now, locked; None when it was removed. Scores may be set meanwhile, unless
    `alone`."""
    query = select(LineItem).where(LineItem.id == column_id).with_for_update(key_share=not alone)
    return db.session.scalars(query.execution_options(populate_existing=True)).one_or_none()


def _jittered(wait: timedelta) -> timedelta:
    return wait * random.uniform(0.9, 1.1)
