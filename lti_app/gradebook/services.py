"""Saying what the LMS should show. Sending it is `delivery`'s, in its own time."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import ColumnElement, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from integrations.lti.ags import SCOPE_LINE_ITEM
from integrations.platforms.registry import platform_for
from integrations.terms import ActivityProgress, GradingProgress, Outcome
from lti_app.clock import utc_now
from lti_app.delivery.services import wake_after_commit
from lti_app.extensions import db
from lti_app.gradebook.models import ColumnKind, LineItem, Score, ScoreState
from lti_app.gradebook.policy import STEPS
from lti_app.registrations.models import Registration
from lti_app.roster.models import ResourceLink

FULL = 100_00
"""The maximum of every score: 100.00, in hundredths."""

_DESIRED = ("given", "activity_progress", "grading_progress", "comment")


def column_for(
    link: ResourceLink, *, registration: Registration, resource_id: str, label: str
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
            _insert(LineItem)
            .values(
                registration_id=registration.id,
                context_pk=link.context_pk,
                kind=ColumnKind.LINK,
                resource_link_pk=link.id,
                url=link.line_item_url,
                resource_id=resource_id,
                label=label[:255],
                created_at=utc_now(),
            )
            .on_conflict_do_nothing(index_elements=["resource_link_pk"])
        )
        return column_of(link.id)
    if link.line_item_url is not None:
        _take_over(column, link.line_item_url)
    elif column.url is None:
        column.resource_id, column.label = resource_id, label[:255]
    return column


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

    A changed value gets a new revision and is due at once, whatever was wrong with the last one. The same
    value again changes nothing, and `submitted_at` stays the moment at which it was first reached.
    Raises ValueError for `given` out of range.
    """
    if not 0 <= given <= FULL:
        raise ValueError(f"given must be 0..{FULL}, not {given}")
    insert = _insert(Score).values(
        registration_id=column.registration_id,
        line_item_id=column.id,
        lti_user_pk=lti_user_pk,
        given=given,
        maximum=FULL,
        activity_progress=activity_progress,
        grading_progress=grading_progress,
        comment=comment,
        submitted_at=submitted_at,
        due_at=utc_now(),
    )
    new = insert.excluded
    changed = or_(*(getattr(Score, name).is_distinct_from(new[name]) for name in _DESIRED))
    db.session.execute(
        insert.on_conflict_do_update(
            index_elements=["line_item_id", "lti_user_pk"],
            set_={name: new[name] for name in (*_DESIRED, "submitted_at", "due_at")} | _anew(),
            where=changed,
        )
    )
    wake_after_commit()
    return db.session.scalars(
        select(Score)
        .where(Score.line_item_id == column.id, Score.lti_user_pk == lti_user_pk)
        .execution_options(populate_existing=True)
    ).one()


def lock_scores(cells: Collection[tuple[int, int]]) -> None:
    """Take the rows of these cells (line item id, login) before several of them are set."""
    columns, logins = {column for column, _ in cells}, {login for _, login in cells}
    lock_rows(Score.line_item_id.in_(columns) & Score.lti_user_pk.in_(logins))


def lock_rows(which: ColumnElement[bool]) -> None:
    """Take these scores in the order of their ids, as everybody does who takes several: no deadlocks."""
    db.session.execute(select(Score.id).where(which).order_by(Score.id).with_for_update())


def retry(score: Score, registration: Registration) -> bool:
    """Try again now, because somebody did something about it in the LMS. False: it is already there.

    What held the whole column is tried for everybody in it. A column that was gone is looked for (and,
    where we make columns, made) anew. `score` comes with its line item and that one's resource link.
    """
    if score.state is ScoreState.SENT:
        return False
    if score.outcome is Outcome.COLUMN_GONE:
        _forget_column(score.line_item, registration)
    again = Score.id == score.id
    if score.outcome is not None and STEPS[score.outcome].whole_column:
        again = (Score.line_item_id == score.line_item_id) & (Score.outcome == score.outcome)
    values = {"state": ScoreState.WAITING, "due_at": utc_now(), "attempts": 0, "outcome": None, "detail": ""}
    lock_rows(again)
    db.session.execute(update(Score).where(again).values(values))
    wake_after_commit()
    return True


def drop_unsent(column: LineItem) -> None:
    """What the LMS was not told yet was meant for something else: leave it untold until it has a new value."""
    unsent = (Score.line_item_id == column.id) & (Score.sent_revision < Score.revision)
    lock_rows(unsent)
    db.session.execute(
        update(Score)
        .where(unsent)
        .values(state=ScoreState.WAITING, due_at=None, attempts=0, outcome=None, detail="")
    )


def send_dropped(column: LineItem, logins: Collection[int]) -> None:
    """Undo `drop_unsent` for these logins: what their cells hold is meant for the column again."""
    dropped = (
        (Score.line_item_id == column.id)
        & Score.lti_user_pk.in_(logins)
        & (Score.sent_revision < Score.revision)
        & (Score.state == ScoreState.WAITING)
        & Score.due_at.is_(None)
    )
    lock_rows(dropped)
    db.session.execute(update(Score).where(dropped).values(due_at=utc_now()))
    wake_after_commit()


def column_of(link_pk: int) -> LineItem | None:
    """Our row for a link's column, if there is one yet."""
    return db.session.scalar(select(LineItem).where(LineItem.resource_link_pk == link_pk))


def _take_over(column: LineItem, url: str) -> None:
    """Follow the link's column. In another column nobody has a grade yet, so everything is due again; the
    same path with another host or query is the same column."""
    before, column.url = column.url, url
    if before == url:
        return
    lock_rows(Score.line_item_id == column.id)
    if before is None:
        waiting = update(Score).where(Score.line_item_id == column.id, Score.state != ScoreState.SENT)
        db.session.execute(waiting.values(state=ScoreState.WAITING, due_at=utc_now(), attempts=0))
    elif urlsplit(before).path != urlsplit(url).path:
        nothing_sent = {f"sent_{name}": None for name in ("at", "given", "submitted_at", "comment")}
        db.session.execute(
            update(Score)
            .where(Score.line_item_id == column.id)
            .values(sent_revision=0, due_at=utc_now(), **nothing_sent, **_anew())
        )
    wake_after_commit()


def _forget_column(column: LineItem, registration: Registration) -> None:
    link = column.resource_link
    assert link is not None
    if link.line_item_url is not None and link.line_item_url != column.url:
        _take_over(column, link.line_item_url)
    elif _may_create(link, registration):
        column.url = None


def _may_create(link: ResourceLink, registration: Registration) -> bool:
    return (
        platform_for(registration.kind).creates_line_items
        and link.line_items_url is not None
        and SCOPE_LINE_ITEM in link.ags_scopes
    )


def _anew() -> dict[str, Any]:
    """The columns of a score that has a new value and was never tried with it."""
    return {
        "revision": Score.revision + 1,
        "state": ScoreState.WAITING,
        "attempts": 0,
        "outcome": None,
        "detail": "",
    }


def _insert(model: type[LineItem] | type[Score]) -> Any:
    return (sqlite.insert if db.engine.dialect.name == "sqlite" else postgresql.insert)(model)
