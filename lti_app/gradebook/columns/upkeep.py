"""Columns in the LMS: found or made, kept in step, and deleted. Each function that writes down what was done
commits, and says False when the lease was lost meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import structlog
from sqlalchemy import delete, update

from integrations.errors import PlatformRejected
from integrations.platforms.base import Platform, json_number, timestamp_text
from integrations.terms import LineItem as PlatformsItem
from lti_app.clock import utc_now
from lti_app.delivery.turns import Turn
from lti_app.extensions import db
from lti_app.gradebook.columns.finding import find_or_make
from lti_app.gradebook.columns.reading import Gradebook, locked
from lti_app.gradebook.locks import lock_rows
from lti_app.gradebook.models import ColumnKind, LineItem, ReadingState, Score, ScoreState
from lti_app.gradebook.wishes import gradebook_address, send_kept_back

_UNTOLD: dict[str, Any] = {
    **dict.fromkeys(("sent_at", "sent_given", "sent_submitted_at", "sent_comment")),
    **dict.fromkeys(("seen_at", "seen_given", "seen_maximum", "difference", "outcome", "due_at")),
    **{"sent_revision": 0, "sent_final": False, "insisted_at": None, "attempts": 0, "detail": ""},
}
TAKEN_UP_FOR = timedelta(minutes=10)
"""A column that a worker took up and never came back from is taken up again after this."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be done to a column in the LMS before it is read."""

    column_id: int
    url: str | None
    line_items_url: str | None
    deletion: bool
    edit: bool
    label: str
    target: Decimal | None
    resource_id: str
    tag: str
    starts_at: datetime | None
    ends_at: datetime | None


def take_up(column_id: int) -> Wish | None:
    """Note that somebody looks after the column now. None: there is nothing to do for it."""
    column = locked(column_id)
    if column is None:
        db.session.rollback()
        return None
    if column.url is not None and not column.made_by_us:
        # A teacher's column is theirs.
        column.wants_edit = column.wants_deletion = False
    if column.url is None and column.kind is ColumnKind.LINK and not column.wants_deletion:
        # A link's column is found or made by whoever sends the first score.
        column.due_at = None
        db.session.commit()
        return None
    column.due_at = utc_now() + TAKEN_UP_FOR
    wish = _wish(column)
    db.session.commit()
    return wish


def _wish(column: LineItem) -> Wish:
    return Wish(
        column_id=column.id,
        url=column.url,
        line_items_url=gradebook_address(column.context_pk) if column.url is None else None,
        deletion=column.wants_deletion,
        edit=column.wants_edit,
        label=column.label,
        target=_credits(column.target),
        resource_id=column.resource_id or f"credits:{column.term_id}",
        tag=column.tag or column.kind.value,
        starts_at=column.starts_at,
        ends_at=column.ends_at,
    )


def _credits(target: int | None) -> Decimal | None:
    return None if target is None else Decimal(target) / 100


def found_there(gradebook: Gradebook, wish: Wish) -> PlatformsItem:
    """The column of credits in the LMS, made if it is not there."""
    if wish.target is None:
        raise PlatformRejected("no-gradebook-address")
    maximum = gradebook.platform.column_maximum(wish.target)
    wanted = PlatformsItem(wish.label, maximum, resource_id=wish.resource_id, tag=wish.tag)
    item, _ = find_or_make(gradebook.ags, gradebook.access, wish.line_items_url, wanted)
    return item


def made(turn: Turn, wish: Wish, item: PlatformsItem) -> bool:
    """From now on scores can be sent to it, also those that waited for it."""
    now = utc_now()
    column = mine(turn, wish.column_id)
    if column is None:
        return False
    column.url, column.made_by_us = item.url, True
    column.resource_id, column.tag = wish.resource_id, wish.tag
    column.maximum = int(item.maximum * 100)
    column.reading_error, column.attempts, column.due_at = None, 0, None
    if (item.label, wish.target) != (column.label, _credits(column.target)):
        column.wants_edit = True
    if column.wants_edit or column.wants_deletion:
        column.due_at = now
    db.session.flush()
    send_kept_back(column.id)
    db.session.commit()
    return True


def delete_there(gradebook: Gradebook, wish: Wish) -> None:
    """Delete the column with its grades, if the LMS has it."""
    if wish.url is not None:
        gradebook.ags.delete_line_item(gradebook.access, wish.url, gradebook.platform)


def edit_there(gradebook: Gradebook, wish: Wish) -> None:
    """Give the column our label, dates and maximum. A refusal is final: grades arrive under any name. (That the
    column is gone will be seen by reading it.)"""
    assert wish.url is not None
    change = _change(wish, gradebook.platform)
    try:
        gradebook.ags.update_line_item(gradebook.access, wish.url, change, gradebook.platform)
    except PlatformRejected as error:
        log.warning("column not changed", column=wish.column_id, error=error.code)


def edited(turn: Turn, wish: Wish) -> bool:
    column = mine(turn, wish.column_id)
    if column is None:
        return False
    same = (column.label, _credits(column.target), column.starts_at, column.ends_at)
    if same == (wish.label, wish.target, wish.starts_at, wish.ends_at):
        column.wants_edit = False
    db.session.commit()
    return True


def removed(turn: Turn, wish: Wish) -> bool:
    """The LMS has it no more. A column of credits is forgotten, unless somebody wants it again by now; a
    link's waits for a new beginning."""
    column = mine(turn, wish.column_id)
    if column is None:
        return False
    lock_rows(Score.line_item_id == column.id)
    if column.wants_deletion and column.kind is ColumnKind.CREDITS:
        db.session.execute(delete(Score).where(Score.line_item_id == column.id))
        db.session.execute(delete(LineItem).where(LineItem.id == column.id))
    else:
        _begin_anew(column)
    db.session.commit()
    return True


def _begin_anew(column: LineItem) -> None:
    wanted = not column.wants_deletion
    db.session.execute(
        update(Score)
        .where(Score.line_item_id == column.id)
        .values(state=ScoreState.WAITING if wanted else ScoreState.DROPPED, **_UNTOLD)
    )
    column.url, column.made_by_us, column.wants_deletion, column.wants_edit = None, False, False, False
    column.reading, column.attempts = ReadingState.NEVER, 0
    column.due_at = utc_now() if wanted else None


def mine(turn: Turn, column_id: int) -> LineItem | None:
    """The column, locked, if this worker still has the platform; the caller commits."""
    if not turn.renew(utc_now()):
        db.session.rollback()
        return None
    column = locked(column_id, alone=True)
    if column is None:
        db.session.rollback()
    return column


def _change(wish: Wish, platform: Platform) -> Mapping[str, Any]:
    change: dict[str, Any] = {
        "label": wish.label,
        "startDateTime": wish.starts_at and timestamp_text(wish.starts_at),
        "endDateTime": wish.ends_at and timestamp_text(wish.ends_at),
    }
    if wish.target is not None:
        change["scoreMaximum"] = json_number(platform.column_maximum(wish.target))
    return change
