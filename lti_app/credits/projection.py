"""What the cells of credit columns should show: what each learner of a class earned in the term, as a part of
the column's target.

A login's cell shows the best of the persons behind it. Pupils have no account, so they never get one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, func, select

from integrations.terms import ActivityProgress, CourseRole, GradingProgress
from lti_app.credits.models import CreditAccount, CreditEntry
from lti_app.extensions import db
from lti_app.gradebook.locks import lock_scores
from lti_app.gradebook.models import ColumnKind, LineItem, Score
from lti_app.gradebook.services import FULL, set_score
from lti_app.gradebook.wishes import PROJECTORS, Projector
from lti_app.roster.models import Membership, MembershipStatus, PersonLink


class _Earned(NamedTuple):
    """By one person in one term: hundredths of a credit, and when the last entry was booked."""

    amount: int
    at: datetime


def project_person(person_id: int, term_id: int | None = None) -> None:
    """Bring the cells of the person's logins up to date, in the classes where they learn that have a column of
    this term (None: of any). One query where there is none."""
    logins = select(PersonLink.lti_user_pk).where(PersonLink.person_id == person_id)
    wanted = Membership.lti_user_pk.in_(logins)
    _project(wanted if term_id is None else wanted & (LineItem.term_id == term_id))


def project_login(lti_user_pk: int) -> None:
    """Bring a login's cells up to date, after other persons come by it."""
    _project(Membership.lti_user_pk == lti_user_pk)


def project_column(column: LineItem) -> None:
    """Bring all cells of a column up to date."""
    _project(LineItem.id == column.id)


def lock_logins(of: Select[*tuple[Any, ...]]) -> None:
    """Take who comes by these logins, in the same order always: two persons of one login who earn at the same
    moment take turns, and the second one sees what the first one has."""
    links = select(PersonLink.id).where(PersonLink.lti_user_pk.in_(of)).order_by(PersonLink.id)
    db.session.execute(links.with_for_update())


def _project(which: ColumnElement[bool]) -> None:
    """Set the cells of the columns and memberships `which` that have something to show."""
    if not db.session.execute(_cells(which).limit(1)).first():
        return
    lock_logins(_learners(which))
    rows = db.session.execute(_cells(which).execution_options(populate_existing=True))
    cells = [(column, login) for column, login in rows]
    earned = _earned(cells)
    there = _existing(cells)
    wanted = [
        (column, login, earned.get((column.term_id, login)))
        for column, login in cells
        if (column.term_id, login) in earned or (column.id, login) in there
    ]
    wanted.sort(key=lambda cell: (cell[0].id, cell[1]))
    still_there = lock_scores([(column.id, login) for column, login, _ in wanted])
    for column, login, what in wanted:
        # A column that was removed meanwhile must not cost anybody their credits.
        if column.id in still_there:
            _show(column, login, what or _Earned(0, there[column.id, login]))


def _show(column: LineItem, login: int, what: _Earned) -> None:
    assert column.target is not None
    reached = what.amount >= column.target
    set_score(
        column,
        login,
        given=min(max(what.amount, 0) * FULL // column.target, FULL),
        submitted_at=what.at,
        activity_progress=ActivityProgress.COMPLETED if reached else ActivityProgress.IN_PROGRESS,
        grading_progress=GradingProgress.FULLY_GRADED,
    )


def _cells(which: ColumnElement[bool]) -> Select[*tuple[Any, ...]]:
    """(column of credits, login) for each active learner of its class."""
    return (
        select(LineItem, Membership.lti_user_pk)
        .join(Membership, Membership.context_pk == LineItem.context_pk)
        .where(
            which,
            LineItem.kind == ColumnKind.CREDITS,
            LineItem.wants_deletion.is_(False),
            Membership.role == CourseRole.LEARNER,
            Membership.status == MembershipStatus.ACTIVE,
        )
    )


def _learners(which: ColumnElement[bool]) -> Select[*tuple[Any, ...]]:
    return _cells(which).with_only_columns(Membership.lti_user_pk)


def _earned(cells: Iterable[tuple[LineItem, int]]) -> dict[tuple[int, int], _Earned]:
    """By term and login: the most that one person behind the login earned, of those who earned anything."""
    pairs = {(column.term_id, login) for column, login in cells}
    rows = db.session.execute(
        select(
            CreditEntry.term_id,
            PersonLink.lti_user_pk,
            func.sum(CreditEntry.amount),
            func.max(CreditEntry.booked_at),
        )
        .join(CreditAccount, CreditAccount.id == CreditEntry.account_id)
        .join(PersonLink, PersonLink.person_id == CreditAccount.person_id)
        .where(
            CreditEntry.term_id.in_({term for term, _ in pairs}),
            PersonLink.lti_user_pk.in_({login for _, login in pairs}),
        )
        .group_by(CreditEntry.term_id, PersonLink.lti_user_pk, CreditAccount.id)
    )
    best: dict[tuple[int, int], _Earned] = {}
    for term_id, login, amount, at in rows:
        if amount > 0:
            before = best.get((term_id, login))
            mine = _Earned(int(amount), at)
            best[term_id, login] = mine if before is None else max(before, mine, key=lambda one: one.amount)
    return best


def _existing(cells: Sequence[tuple[LineItem, int]]) -> dict[tuple[int, int], datetime]:
    """When the result was reached that each of these cells shows, of those that are there."""
    rows = db.session.execute(
        select(Score.line_item_id, Score.lti_user_pk, Score.submitted_at).where(
            Score.line_item_id.in_({column.id for column, _ in cells}),
            Score.lti_user_pk.in_({login for _, login in cells}),
        )
    )
    return {(column_id, login): at for column_id, login, at in rows}


def _lock_column(column: LineItem) -> None:
    """Take the accounts of all learners of the class too: what is being booked is seen, or sees the column."""
    learners = _learners(LineItem.id == column.id)
    accounts = select(CreditAccount.id).where(
        CreditAccount.person_id.in_(select(PersonLink.person_id).where(PersonLink.lti_user_pk.in_(learners)))
    )
    db.session.execute(accounts.order_by(CreditAccount.id).with_for_update())
    lock_logins(learners)


PROJECTORS[ColumnKind.CREDITS] = Projector(lock=_lock_column, project=project_column)
