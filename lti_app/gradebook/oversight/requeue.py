"""Making due again what was refused or waits for a later try, many scores at once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import ColumnElement, and_, func, select, update
from sqlalchemy.orm import joinedload

from integrations.terms import Outcome
from lti_app.delivery.services import unblock, wake_after_commit
from lti_app.extensions import db
from lti_app.gradebook.locks import Wishes, is_overridden, lock_columns, lock_rows
from lti_app.gradebook.models import LineItem, Score, ScoreState
from lti_app.gradebook.services import forget_column
from lti_app.registrations.models import Registration

BATCH = 2_000


def can_go_again(
    registration_id: int | None = None, outcome: Outcome | None = None, column_id: int | None = None
) -> ColumnElement[bool]:
    """Scores that were tried and did not arrive, of a registration, outcome, column, or of all.

    Never those that a teacher overrode: only "send mine" replaces a teacher's grade.
    """
    conditions = [
        Score.state.in_((ScoreState.WAITING, ScoreState.HELD)),
        Score.outcome.is_not(None),
        ~is_overridden(),
    ]
    for attribute, wanted in (
        (Score.registration_id, registration_id),
        (Score.outcome, outcome),
        (Score.line_item_id, column_id),
    ):
        if wanted is not None:
            conditions.append(attribute == wanted)
    return and_(*conditions)


def counts(which: ColumnElement[bool]) -> Mapping[tuple[int, Outcome], int]:
    """How many of these scores each registration has with each outcome."""
    query = select(Score.registration_id, Score.outcome, func.count()).where(which)
    query = query.group_by(Score.registration_id, Score.outcome)
    rows = db.session.execute(query.order_by(Score.registration_id, Score.outcome))
    return {(owner, outcome): count for owner, outcome, count in rows if outcome is not None}


def requeue(which: ColumnElement[bool], now: datetime, *, most: int = BATCH, ends_rest: bool = True) -> int:
    """Make at most `most` of these scores due now, those with the smallest ids; returns how many.

    The rest of their platforms ends (unless `ends_rest` is False: a platform that asked for it is left alone),
    and columns that were gone are looked for anew: somebody says that what was wrong was put right. In a
    column that a teacher paused they wait until it goes on. The caller commits (and may call again for the
    next ones).
    """
    chosen = select(Score.id, Score.registration_id, Score.line_item_id, Score.outcome).where(which)
    rows = db.session.execute(chosen.order_by(Score.id).limit(most)).all()
    # Slots before columns before cells, as workers take them.
    for registration_id in sorted({row.registration_id for row in rows}) if ends_rest else ():
        unblock(registration_id)
    columns = {row.line_item_id for row in rows}
    gone = {row.line_item_id for row in rows if row.outcome is Outcome.COLUMN_GONE}
    wishes = lock_columns(columns, alone=bool(gone))
    ids = [row.id for row in rows]
    lock_rows((Score.id.in_(ids) & which) | Score.line_item_id.in_(gone))
    if gone:
        _forget_columns(gone)
        wishes = lock_columns(columns)
    for start in range(0, len(ids), BATCH):
        _make_due(Score.id.in_(ids[start : start + BATCH]) & which, wishes, now)
    wake_after_commit()
    return len(rows)


def _make_due(again: ColumnElement[bool], wishes: Mapping[int, Wishes], now: datetime) -> None:
    # What a teacher closed or nobody made meanwhile waits without a time, as everything there does.
    shut = [column for column, wish in wishes.items() if wish.due_at(now, released=True) is None]
    values = {"state": ScoreState.WAITING, "attempts": 0, "outcome": None, "detail": ""}
    if shut:
        kept = again & Score.line_item_id.in_(shut)
        db.session.execute(update(Score).where(kept).values(**values, due_at=None))
    db.session.execute(update(Score).where(again).values(**values, due_at=now))


def _forget_columns(column_ids: set[int]) -> None:
    query = (
        select(LineItem, Registration)
        .join(Registration, Registration.id == LineItem.registration_id)
        .where(LineItem.id.in_(column_ids))
        .options(joinedload(LineItem.resource_link))
        .order_by(LineItem.kind, LineItem.id)
    )
    for column, registration in db.session.execute(query):
        forget_column(column, registration)
