"""What a teacher wants of the columns of a class: which results are kept, when they are sent, and a column for
the credits of a term.

A result that is kept back is `waiting` without a time and without an outcome. It becomes due by a release,
or when the column is no longer paused.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from flask_babel import gettext
from sqlalchemy import ColumnElement, and_, or_, select, update

from integrations.lti.ags import SCOPE_LINE_ITEM
from lti_app.clock import utc_now
from lti_app.delivery.services import wake_after_commit
from lti_app.errors import NotHere
from lti_app.extensions import db, insert_into
from lti_app.gradebook.locks import is_overridden, lock_column, lock_columns, lock_rows
from lti_app.gradebook.models import ColumnKind, Keeps, LineItem, Score, ScoreState, Sends
from lti_app.gradebook.services import anew
from lti_app.organisations.models import Term
from lti_app.registrations.models import Registration
from lti_app.roster.models import Context, ResourceLink

CREDITS_TAG = "credits"
_FIRST_HALF_MONTHS = range(2, 8)


class NoGradebook(Exception):
    """The class has no gradebook that lets us make columns: no launch gave its address, or the tool may only
    send grades to columns that are there."""


@dataclass(frozen=True, slots=True)
class Projector:
    """How the cells of a kind of column are brought up to date with what people have reached.

    `lock` takes what decides about the cells, before the column's own row is taken.
    """

    lock: Callable[[LineItem], object]
    project: Callable[[LineItem], object]


PROJECTORS: dict[ColumnKind, Projector] = {}
"""Of the packages above this one: `courses.projection` and `credits.projection` enter theirs when they are
imported."""


def set_policy(column: LineItem, *, keeps: Keeps, sends: Sends, paused: bool) -> None:
    """Say what the column keeps and when it is sent, from now on.

    Paused or held until a release: what was not sent yet is kept back. Sent at once again: it is due.
    What was released and not sent when a pause came waits for another release. From best to latest: the cells
    show the latest results again. From latest to best: none is lowered from now on.
    """
    projector = PROJECTORS.get(column.kind)
    if projector is not None:
        projector.lock(column)
    before = lock_column(column.id, alone=True)
    _write(column, keeps=keeps, sends=sends, paused=paused)
    if (paused and not before.paused) or (sends is Sends.ON_RELEASE and before.sends is Sends.AT_ONCE):
        _keep_back(column)
    elif not paused and sends is Sends.AT_ONCE and (before.paused or before.sends is Sends.ON_RELEASE):
        send_kept_back(column.id)
    if projector is not None and keeps is Keeps.LATEST and before.keeps is Keeps.BEST:
        projector.project(column)


def release(*columns: LineItem) -> int:
    """Send everything that is kept back until a release; later results are kept back again. Returns how many.

    Of a paused column nothing is released.
    """
    open_ids = {
        column_id
        for column_id, wishes in lock_columns([c.id for c in columns], alone=True).items()
        if not wishes.paused
    }
    now = utc_now()
    db.session.execute(update(LineItem).where(LineItem.id.in_(open_ids)).values(released_at=now))
    return _send(open_ids)


def send_now(columns: Collection[LineItem]) -> int:
    """Make due now what waits for another try in these columns, or is tried once a day; returns how many.

    Not what is kept back, overridden by a teacher, or waits for somebody to ask for it. A platform that is
    left alone for a while, because it asked for that or failed, is still left alone: only then.
    """
    ids = [
        column_id for column_id, wishes in lock_columns([c.id for c in columns]).items() if not wishes.paused
    ]
    now = utc_now()
    later = and_(
        Score.line_item_id.in_(ids),
        Score.state.in_((ScoreState.WAITING, ScoreState.HELD)),
        Score.due_at > now,
        ~is_overridden(),
    )
    lock_rows(later)
    values = {"state": ScoreState.WAITING, "due_at": now, "attempts": 0, "outcome": None, "detail": ""}
    return _changed(later, values)


def send_kept_back(column_id: int) -> int:
    """Make due what is kept back in a column, unless its teacher still wants that; returns how many.

    For who has made a column of credits in the LMS: call it after writing the address.
    """
    wishes = lock_column(column_id)
    return 0 if wishes.sends is Sends.ON_RELEASE else _send({column_id})


def add_credits_column(
    context: Context, registration: Registration, term: Term, target_hundredths: int
) -> LineItem:
    """A column that shows what each learner of the class earned in the term, as a part of `target_hundredths`
    (hundredths of a credit, above zero). It is made in the LMS soon after.

    Asked for again, it gets the new target, and one that was about to be removed stays. Raises NoGradebook,
    and NotHere when one was removed at this very moment.
    """
    if target_hundredths <= 0:
        raise ValueError("a target must be above zero")
    if gradebook_address(context.id) is None:
        raise NoGradebook
    own = {"context_pk": context.id, "term_id": term.id}
    find = select(LineItem).filter_by(**own)
    db.session.execute(
        insert_into(LineItem)
        .values(
            **own,
            registration_id=registration.id,
            kind=ColumnKind.CREDITS,
            target=target_hundredths,
            resource_id=f"credits:{term.id}",
            tag=CREDITS_TAG,
            label=credits_label(term),
            due_at=utc_now(),
        )
        .on_conflict_do_nothing(index_elements=list(own))
    )
    column = db.session.scalar(find)
    if column is None:
        raise NotHere
    projector = PROJECTORS[ColumnKind.CREDITS]
    projector.lock(column)
    before = lock_column(column.id, alone=True)
    # Its maximum in the LMS is the target.
    edit = {"target": target_hundredths, "wants_edit": not before.is_unmade}
    _write(column, **edit, wants_deletion=False, due_at=utc_now(), attempts=0)
    if before.is_leaving:
        lock_rows(Score.line_item_id == column.id)
        _changed(
            and_(Score.line_item_id == column.id, Score.state == ScoreState.DROPPED),
            {"state": ScoreState.WAITING, "due_at": None},
        )
        send_kept_back(column.id)
    projector.project(column)
    wake_after_commit()
    return column


def remove_column(column: LineItem) -> None:
    """Take a column that we made out of the LMS's gradebook, soon. Nothing is sent to it any more.

    Raises ValueError for a column that a teacher made: that one is the teacher's to remove.
    """
    wishes = lock_column(column.id, alone=True)
    # A worker may have made it since the page was asked for.
    db.session.refresh(column, ["made_by_us"])
    if not column.made_by_us and not wishes.is_unmade:
        raise ValueError("the column was not made by us")
    _write(column, wants_deletion=True, due_at=utc_now(), attempts=0)
    unsent = and_(
        Score.line_item_id == column.id,
        Score.state.in_((ScoreState.WAITING, ScoreState.HELD)),
        ~is_overridden(),
    )
    lock_rows(unsent)
    _changed(unsent, {**anew(), "state": ScoreState.DROPPED, "due_at": None})


def gradebook_address(context_pk: int) -> str | None:
    """Where columns of a class are made: from the newest of its links whose launch gave the address and the
    right to make some."""
    rows = db.session.execute(
        select(ResourceLink.line_items_url, ResourceLink.ags_scopes)
        .where(ResourceLink.context_pk == context_pk, ResourceLink.line_items_url.is_not(None))
        .order_by(ResourceLink.id.desc())
    )
    return next((url for url, scopes in rows if SCOPE_LINE_ITEM in scopes), None)


def credits_label(term: Term) -> str:
    """The name of a term's column, in the page's language: the year and half in which the term begins."""
    year = term.starts_on.year
    if term.starts_on.month in _FIRST_HALF_MONTHS:
        return gettext("学分 %(year)s春", year=year)
    return gettext("学分 %(year)s秋", year=year if term.starts_on.month > 1 else year - 1)


def _keep_back(column: LineItem) -> None:
    """Nothing of it goes by itself. With a new revision: what comes of a call that is under way now does not
    make the score due again."""
    going = and_(
        Score.line_item_id == column.id,
        Score.state.in_((ScoreState.WAITING, ScoreState.HELD)),
        or_(Score.due_at.is_not(None), Score.outcome.is_not(None)),
        ~is_overridden(),
    )
    lock_rows(going)
    _changed(going, {**anew(), "state": ScoreState.WAITING, "due_at": None})


def _send(column_ids: Collection[int]) -> int:
    """Make due what is kept back in these columns, as far as a release allows it."""
    now = utc_now()
    wishes = lock_columns(column_ids)
    going = [column_id for column_id, one in wishes.items() if one.due_at(now, released=True)]
    kept_back = and_(
        Score.line_item_id.in_(going),
        Score.state == ScoreState.WAITING,
        Score.due_at.is_(None),
        Score.outcome.is_(None),
    )
    lock_rows(kept_back)
    return _changed(kept_back, {"due_at": now})


def _changed(which: ColumnElement[bool], values: dict[str, object]) -> int:
    """Change these scores; returns how many there are."""
    result = db.session.execute(update(Score).where(which).values(values))
    wake_after_commit()
    return int(result.rowcount)  # type: ignore[attr-defined]


def _write(column: LineItem, **values: object) -> None:
    """Write whatever the object in memory says: it may be older than the row."""
    db.session.execute(update(LineItem).where(LineItem.id == column.id).values(**values))
