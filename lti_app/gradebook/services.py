"""Saying what the LMS should show. Sending it is `delivery`'s, in its own time."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import ColumnElement, case, func, null, or_, select, update

from integrations.lti.ags import SCOPE_LINE_ITEM
from integrations.platforms.registry import platform_for
from integrations.terms import ActivityProgress, GradingProgress, Outcome
from lti_app.clock import utc_now
from lti_app.delivery.services import wake_after_commit
from lti_app.extensions import db, insert_into
from lti_app.gradebook.locks import is_overridden, lock_column, lock_rows
from lti_app.gradebook.models import ColumnKind, Keeps, LineItem, ReadingState, Score, ScoreState
from lti_app.gradebook.policy import STEPS
from lti_app.registrations.models import Registration
from lti_app.roster.models import ResourceLink

FULL = 100_00
"""The maximum of every score: 100.00, in hundredths."""
LOOK_AGAIN = timedelta(minutes=5)
"""After which a column is read where only that tells whether a grade was taken."""

_DESIRED = ("given", "activity_progress", "grading_progress", "comment")


def column_for(
    link: ResourceLink,
    *,
    registration: Registration,
    resource_id: str,
    label: str,
    starts_at: datetime | None = None,
    ends_at: datetime | None = None,
) -> LineItem | None:
    """Our row for the link's gradebook column, found or made.

    None when the link has no column and none may be made: on most platforms the teacher decides that by
    embedding the link with or without grades. A column that appears later, or moves, is taken over.
    """
    column = column_of(link.id)
    if column is None:
        if link.line_item_url is None and not _may_create(link, registration):
            return None
        db.session.execute(
            insert_into(LineItem)
            .values(
                registration_id=registration.id,
                context_pk=link.context_pk,
                kind=ColumnKind.LINK,
                resource_link_pk=link.id,
                url=link.line_item_url,
                resource_id=resource_id,
                label=label[:255],
                starts_at=starts_at,
                ends_at=ends_at,
                created_at=utc_now(),
            )
            .on_conflict_do_nothing(index_elements=["resource_link_pk"])
        )
        return column_of(link.id)
    if link.line_item_url is not None:
        _take_over(column, link.line_item_url)
    elif column.url is None:
        column.resource_id = resource_id
    describe_column(column, label=label, starts_at=starts_at, ends_at=ends_at)
    return column


def describe_column(
    column: LineItem, *, label: str, starts_at: datetime | None, ends_at: datetime | None
) -> None:
    """What the column is called, and between when results can come. The LMS is told of a change where we made
    the column; what a teacher made is left as it is."""
    wanted = {"label": label[:255], "starts_at": starts_at, "ends_at": ends_at}
    changed = {name: value for name, value in wanted.items() if getattr(column, name) != value}
    for name, value in changed.items():
        setattr(column, name, value)
    if changed and column.made_by_us and column.url is not None:
        column.wants_edit, column.due_at, column.attempts = True, utc_now(), 0
        wake_after_commit()


def set_score(
    column: LineItem,
    lti_user_pk: int,
    *,
    given: int,
    submitted_at: datetime,
    activity_progress: ActivityProgress,
    grading_progress: GradingProgress,
    comment: str | None = None,
) -> Score:
    """Make this what the LMS should show for the person; `given` is 0..10000, hundredths of a percent.

    A changed value gets a new revision and is due at once, whatever was wrong with the last one, unless the
    column's teacher wants something else: it is kept here while the column is paused, waits for a release or
    is not made yet, and changes nothing if it is lower and the column keeps the best. Where a teacher gave
    a grade in the LMS, that one stays, and the value is kept for "send mine".

    The same value again changes nothing, and `submitted_at` stays the moment at which it was first reached.
    Raises ValueError for `given` out of range, and NotHere for a column that was removed meanwhile.
    """
    if not 0 <= given <= FULL:
        raise ValueError(f"given must be 0..{FULL}, not {given}")
    wishes = lock_column(column.id)
    insert = insert_into(Score).values(
        registration_id=column.registration_id,
        line_item_id=column.id,
        lti_user_pk=lti_user_pk,
        given=given,
        maximum=FULL,
        activity_progress=activity_progress,
        grading_progress=grading_progress,
        comment=comment,
        submitted_at=submitted_at,
        state=wishes.state,
        due_at=wishes.due_at(utc_now()),
    )
    new = insert.excluded
    changed = or_(*(getattr(Score, name).is_distinct_from(new[name]) for name in _DESIRED))
    if wishes.keeps is Keeps.BEST:
        # What was dropped was meant for something else; what the LMS shows may still not be lowered.
        shown = case((Score.state == ScoreState.DROPPED, Score.sent_given), else_=Score.given)
        changed &= new.given >= func.coalesce(shown, 0)
    db.session.execute(
        insert.on_conflict_do_update(
            index_elements=["line_item_id", "lti_user_pk"],
            set_={name: new[name] for name in (*_DESIRED, "submitted_at")}
            | anew()
            | _unless_overridden(
                state=new.state, due_at=new.due_at, outcome=null(), detail="", difference=null()
            ),
            where=changed,
        )
    )
    wake_after_commit()
    return db.session.scalars(
        select(Score)
        .where(Score.line_item_id == column.id, Score.lti_user_pk == lti_user_pk)
        .execution_options(populate_existing=True)
    ).one()


def retry(score: Score, registration: Registration) -> bool:
    """Try again now, because somebody did something about it in the LMS. False: it is already there, or kept
    back by the column's teacher.

    What held the whole column is tried for everybody in it. A column that was gone is looked for (and,
    where we make columns, made) anew. A teacher's own grade is replaced by ours. `score` comes with its line
    item and that one's resource link.
    """
    lock_column(score.line_item_id, alone=True)
    if score.outcome is not None and STEPS[score.outcome].whole_column:
        lock_rows(Score.line_item_id == score.line_item_id)
    if send_mine(score, registration):
        return True
    wishes = lock_column(score.line_item_id)
    kept_back = score.outcome is None and score.due_at is None
    if score.state in (ScoreState.SENT, ScoreState.DROPPED) or wishes.paused or kept_back:
        return False
    now = utc_now()
    due_at: datetime | None = now
    if score.outcome is Outcome.COLUMN_GONE:
        forget_column(score.line_item, registration)
        due_at = lock_column(score.line_item_id).due_at(now, released=True)
    again = Score.id == score.id
    if score.outcome is not None and STEPS[score.outcome].whole_column:
        again = (Score.line_item_id == score.line_item_id) & (Score.outcome == score.outcome)
    values = {"state": ScoreState.WAITING, "due_at": due_at, "attempts": 0, "outcome": None, "detail": ""}
    lock_rows(again)
    db.session.execute(update(Score).where(again).values(values))
    wake_after_commit()
    return True


def send_mine(score: Score, registration: Registration) -> bool:
    """Replace the grade that a teacher gave in the LMS by ours, the newest; False: there is none such.

    `score` comes with its line item. The column is read a few minutes later: an LMS may keep the teacher's
    grade all the same, and the page should not go on saying that ours arrived.
    """
    # Alone, because the column may be written below (and by `retry`), and nobody does that after taking cells.
    wishes = lock_column(score.line_item_id, alone=True)
    lock_rows(Score.id == score.id)
    db.session.refresh(score, ["state", "outcome", "due_at"])
    if (score.state, score.outcome) != (ScoreState.HELD, Outcome.OVERRIDDEN):
        return False
    now = utc_now()
    due_at = wishes.due_at(now, released=True)
    values = {**anew(), "state": ScoreState.WAITING, "due_at": due_at, "insisted_at": now}
    db.session.execute(update(Score).where(Score.id == score.id).values(values))
    look_soon(score.line_item_id, now + LOOK_AGAIN)
    wake_after_commit()
    return True


def look_soon(column_id: int, at: datetime) -> None:
    """Let a column be looked after at this moment, if that was not to happen before."""
    later = (LineItem.id == column_id) & (LineItem.due_at.is_(None) | (LineItem.due_at > at))
    db.session.execute(update(LineItem).where(later).values(due_at=at))


def drop_unsent(column: LineItem) -> None:
    """What the LMS was not told yet was meant for something else: leave it untold until it has a new value.

    A teacher's grade in the LMS stays known as such.
    """
    lock_column(column.id, alone=True)  # who calls this changes the column's name and dates after it
    unsent = (
        (Score.line_item_id == column.id)
        & Score.state.in_((ScoreState.WAITING, ScoreState.HELD))
        & ~is_overridden()
    )
    lock_rows(unsent)
    db.session.execute(
        update(Score).where(unsent).values({**anew(), "state": ScoreState.DROPPED, "due_at": None})
    )


def send_dropped(column: LineItem, logins: Collection[int]) -> None:
    """Undo `drop_unsent` for these logins: what their cells hold is meant for the column again."""
    due_at = lock_column(column.id).due_at(utc_now())
    dropped = (
        (Score.line_item_id == column.id)
        & Score.lti_user_pk.in_(logins)
        & (Score.state == ScoreState.DROPPED)
    )
    lock_rows(dropped)
    db.session.execute(update(Score).where(dropped).values(state=ScoreState.WAITING, due_at=due_at))
    wake_after_commit()


def column_of(link_pk: int) -> LineItem | None:
    """Our row for a link's column, if there is one yet."""
    return db.session.scalar(select(LineItem).where(LineItem.resource_link_pk == link_pk))


def forget_column(column: LineItem, registration: Registration) -> None:
    """The column is not where it was: follow its link, or look for it (and make it) anew where we make
    columns. `column` comes with its resource link; it is locked alone."""
    link = column.resource_link
    if link is None:
        # Who looks after columns makes it again, and sends what waits for it.
        _hold_sent(column)
        column.url, column.due_at, column.attempts = None, utc_now(), 0
    elif link.line_item_url is not None and link.line_item_url != column.url:
        _take_over(column, link.line_item_url)
    elif _may_create(link, registration):
        _hold_sent(column)
        column.url = None


def _hold_sent(column: LineItem) -> None:
    """In another column nobody has a grade: those that were sent go again, with the first that it accepts."""
    sent = (Score.line_item_id == column.id) & (Score.state == ScoreState.SENT)
    lock_rows(sent)
    gone = {"state": ScoreState.HELD, "outcome": Outcome.COLUMN_GONE, "due_at": None, "difference": None}
    db.session.execute(update(Score).where(sent).values(**gone))


def _take_over(column: LineItem, url: str) -> None:
    """Follow the link's column. In another column nobody has a grade yet, so everything that was sent or to
    be sent is due again; the same path with another host or query is the same column."""
    before = column.url
    if before == url:
        return
    column.url = url
    wishes = lock_column(column.id)
    due_at = wishes.due_at(utc_now(), released=True)
    lock_rows(Score.line_item_id == column.id)
    cells = update(Score).where(Score.line_item_id == column.id)
    if before is None:
        waiting = cells.where(Score.state != ScoreState.SENT, is_meant())
        again = {"attempts": 0, "outcome": None, "detail": "", "difference": None}
        db.session.execute(waiting.values(state=ScoreState.WAITING, due_at=due_at, **again))
    elif urlsplit(before).path != urlsplit(url).path:
        unknown = ("sent_at", "sent_given", "sent_submitted_at", "sent_comment", "insisted_at")
        unseen = ("seen_at", "seen_given", "seen_maximum")
        values = dict.fromkeys((*unknown, *unseen)) | {"sent_revision": 0, "sent_final": False}
        db.session.execute(cells.values(values))
        meant = cells.where(is_meant())
        db.session.execute(meant.values({**anew(), "state": ScoreState.WAITING, "due_at": due_at}))
        column.made_by_us, column.wants_edit, column.maximum = False, False, None
        column.reading, column.reading_error, column.read_at = ReadingState.NEVER, None, None
    wake_after_commit()


def is_meant() -> ColumnElement[bool]:
    """A score that the LMS knows or is to be told by itself: not dropped, and not kept back."""
    tried = Score.due_at.is_not(None) | Score.outcome.is_not(None)
    return (Score.state == ScoreState.SENT) | (Score.state.in_((ScoreState.WAITING, ScoreState.HELD)) & tried)


def _may_create(link: ResourceLink, registration: Registration) -> bool:
    return (
        platform_for(registration.kind).creates_line_items
        and link.line_items_url is not None
        and SCOPE_LINE_ITEM in link.ags_scopes
    )


def anew() -> dict[str, Any]:
    """The columns of a score that has a new value and was never tried with it."""
    return {
        "revision": Score.revision + 1,
        "attempts": 0,
        "outcome": None,
        "detail": "",
        "difference": None,
    }


def _unless_overridden(**values: Any) -> dict[str, Any]:
    return {name: case((is_overridden(), getattr(Score, name)), else_=new) for name, new in values.items()}
