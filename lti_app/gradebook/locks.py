"""In which order columns and cells are taken, so that nobody waits for each other, and what a column allows.

Everybody takes columns before cells, those of credits before those of links, and each kind by id: a lesson's
end books credits first and shows the link's grade after it. What decides about several cells of one grade
(`visit`, `person_link`) is taken before the column.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, select

from integrations.terms import Outcome
from lti_app.errors import NotHere
from lti_app.extensions import db
from lti_app.gradebook.models import Keeps, LineItem, Score, ScoreState, Sends


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a column's teacher wants of its results, as long as the column's row is locked."""

    keeps: Keeps
    sends: Sends
    paused: bool
    is_unmade: bool
    """Who makes it sends what waits for it."""
    is_leaving: bool

    @property
    def state(self) -> ScoreState:
        """Of a new result."""
        return ScoreState.DROPPED if self.is_leaving else ScoreState.WAITING

    def due_at(self, now: datetime, *, released: bool = False) -> datetime | None:
        """When a result is delivered that exists from `now` on; None: not until somebody decides.

        `released`: the teacher has said that this one may go.
        """
        stays = self.sends is Sends.ON_RELEASE and not released
        return None if self.paused or self.is_unmade or self.is_leaving or stays else now


def lock_columns(column_ids: Collection[int], *, alone: bool = False) -> dict[int, Wishes]:
    """Keep these columns' wishes as they are until the transaction ends, and return them by column.

    Many may hold them at once. `alone`: wait for those, to change them. Columns that were removed meanwhile
    are left out.
    """
    names = ("keeps", "sends", "paused", "is_unmade", "wants_deletion")
    query = (
        select(LineItem.id, *(getattr(LineItem, name) for name in names))
        .where(LineItem.id.in_(column_ids))
        .order_by(LineItem.kind, LineItem.id)
        .with_for_update(read=not alone, key_share=not alone)
    )
    return {
        row.id: Wishes(
            keeps=row.keeps,
            sends=row.sends,
            paused=row.paused,
            is_unmade=row.is_unmade,
            is_leaving=row.wants_deletion,
        )
        for row in db.session.execute(query)
    }


def lock_column(column_id: int, *, alone: bool = False) -> Wishes:
    """The same for one column. Raises NotHere when a worker has removed it meanwhile."""
    wishes = lock_columns([column_id], alone=alone).get(column_id)
    if wishes is None:
        raise NotHere
    return wishes


def lock_scores(cells: Collection[tuple[int, int]]) -> Collection[int]:
    """Take the columns and rows of these cells (line item id, login) before several of them are set; returns
    the columns that are still there."""
    columns, logins = {column for column, _ in cells}, {login for _, login in cells}
    there = lock_columns(columns)
    lock_rows(Score.line_item_id.in_(columns) & Score.lti_user_pk.in_(logins))
    return there.keys()


def lock_rows(which: ColumnElement[bool]) -> None:
    """Take these scores. Who changes a column too does that before."""
    db.session.execute(
        select(Score.id)
        .join(LineItem, LineItem.id == Score.line_item_id)
        .where(which)
        .order_by(LineItem.kind, Score.id)
        .with_for_update(of=Score)
    )


def is_overridden() -> ColumnElement[bool]:
    """A score whose cell shows a teacher's grade, which stays until the teacher says otherwise."""
    return and_(Score.state == ScoreState.HELD, Score.outcome == Outcome.OVERRIDDEN)
