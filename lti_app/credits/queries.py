"""What a statement shows and what the audit compares. Amounts are hundredths of a credit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import func, literal, select, union_all

from lti_app.credits.models import Category, CreditAccount, CreditBalance, CreditEntry, CreditEvent
from lti_app.extensions import db
from lti_app.organisations.models import Term

PAGE = 20
AUDIT_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Totals:
    """What somebody has of a category: in the term asked for, and in all terms."""

    category: Category
    term: int
    total: int


@dataclass(frozen=True, slots=True)
class Line:
    """An entry of a statement: `day` is the school's day of what happened, `balance` what there was after
    it, `source_total` what all entries of its source come to, `later` whether another one of it follows."""

    label: str
    category: Category
    day: date
    booked_at: datetime
    amount: int
    balance: int
    revision: int
    source_total: int
    later: bool

    @property
    def reversed(self) -> bool:
        return self.later and self.amount > 0 and self.source_total == 0


@dataclass(frozen=True, slots=True)
class Difference:
    """A balance that is not the sum of its entries."""

    account_id: int
    term_id: int
    category: str
    kept: int
    entries: int


def term_on(district_id: int, day: date) -> Term | None:
    """The district's term of a day if one was entered or needed so far; without it nothing was earned in it."""
    return db.session.scalar(
        select(Term).where(Term.district_id == district_id, Term.starts_on <= day, Term.ends_on >= day)
    )


def totals(person_id: int, term_id: int | None) -> list[Totals]:
    """What a person has, by category."""
    in_term = func.sum(CreditBalance.amount).filter(CreditBalance.term_id == term_id)
    rows = db.session.execute(
        select(CreditBalance.category, func.coalesce(in_term, 0), func.sum(CreditBalance.amount))
        .join(CreditAccount, CreditAccount.id == CreditBalance.account_id)
        .where(CreditAccount.person_id == person_id)
        .group_by(CreditBalance.category)
        .order_by(CreditBalance.category)
    )
    return [Totals(category, int(term), int(total)) for category, term, total in rows]


def count_lines(person_id: int) -> int:
    """How many entries a person's statement has."""
    return db.session.scalars(
        select(func.count())
        .select_from(CreditEntry)
        .join(CreditAccount, CreditAccount.id == CreditEntry.account_id)
        .where(CreditAccount.person_id == person_id)
    ).one()


def lines(person_id: int, *, page: int = 1, size: int = PAGE) -> list[Line]:
    """A page of a person's entries with the running balance after each, newest first."""
    source = (CreditEntry.source_kind, CreditEntry.source_id)
    entry = (
        select(
            CreditEntry.id,
            CreditEvent.label,
            CreditEntry.category,
            CreditEvent.day,
            CreditEntry.booked_at,
            CreditEntry.amount,
            func.sum(CreditEntry.amount).over(order_by=CreditEntry.id).label("balance"),
            CreditEntry.revision,
            func.sum(CreditEntry.amount).over(partition_by=source).label("source_total"),
            (func.max(CreditEntry.revision).over(partition_by=source) > CreditEntry.revision).label("later"),
        )
        .join(CreditEvent, CreditEvent.id == CreditEntry.event_id)
        .join(CreditAccount, CreditAccount.id == CreditEntry.account_id)
        .where(CreditAccount.person_id == person_id)
        .subquery()
    )
    rows = db.session.execute(select(entry).order_by(entry.c.id.desc()).limit(size).offset((page - 1) * size))
    return [
        Line(
            label=row.label,
            category=row.category,
            day=row.day,
            booked_at=row.booked_at,
            amount=row.amount,
            balance=int(row.balance),
            revision=row.revision,
            source_total=int(row.source_total),
            later=bool(row.later),
        )
        for row in rows
    ]


def audit(size: int = AUDIT_PAGE) -> Iterator[list[Difference]]:
    """Compare every balance with its entries, `size` accounts at a time; yields the differences of each page.

    A page is one statement and therefore one moment: a booking meanwhile is never taken for a difference.
    The caller may end the transaction between two pages.
    """
    after = 0
    while True:
        accounts = select(CreditAccount.id).where(CreditAccount.id > after).order_by(CreditAccount.id)
        page = db.session.scalars(accounts.limit(size)).all()
        if not page:
            return
        yield _differences(after, page[-1])
        after = page[-1]


def _differences(after: int, last: int) -> list[Difference]:
    kept, entries = (
        select(
            model.account_id,
            model.term_id,
            model.category,
            (model.amount if model is CreditBalance else literal(0)).label("kept"),
            (model.amount if model is CreditEntry else literal(0)).label("entries"),
        ).where(model.account_id > after, model.account_id <= last)
        for model in (CreditBalance, CreditEntry)
    )
    both = union_all(kept, entries).subquery()
    key = (both.c.account_id, both.c.term_id, both.c.category)
    sums = (func.sum(both.c.kept), func.sum(both.c.entries))
    rows = db.session.execute(
        select(*key, *sums)
        .group_by(*key)
        .having(sums[0] != sums[1])
        .order_by(both.c.account_id, both.c.term_id)
    )
    return [
        Difference(account_id, term_id, str(category), int(in_balance), int(in_entries))
        for account_id, term_id, category, in_balance, in_entries in rows
    ]
