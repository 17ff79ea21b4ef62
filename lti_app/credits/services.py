"""Recording what happened and booking what it is worth. Amounts are hundredths of a credit."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import case, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from lti_app.clock import local_day
from lti_app.credits.models import (
    CreditAccount,
    CreditBalance,
    CreditEntry,
    CreditEvent,
    SourceKind,
)
from lti_app.credits.projection import project_person
from lti_app.credits.rulebook import rule_for, rule_of_entry
from lti_app.credits.rules import Booked, Rule, week_of, worth
from lti_app.extensions import db
from lti_app.organisations.models import School
from lti_app.organisations.services import term_of
from lti_app.roster.models import Person, PersonKind


class NotAParent(ValueError):
    """Only parents have an account in the bank."""


def record_event(
    person_id: int,
    *,
    kind: SourceKind,
    source_id: str,
    quantity: int,
    occurred_at: datetime,
    school: School,
    child_pk: int | None = None,
    label: str = "",
) -> CreditEvent:
    """Record a happening once and book what it is worth, also when that is nothing.

    The same source again changes nothing; with another `quantity` (hundredths of a unit) the difference is
    booked. `label` is what statements call it: no personal data. Raises NotAParent.
    """
    lock_account(person_id)
    day = local_day(occurred_at, school.time_zone)
    event, is_new = _recorded(
        {"person_id": person_id, "source_kind": kind, "source_id": source_id},
        child_pk=child_pk,
        school_id=school.id,
        term_id=term_of(school.district_id, day).id,
        label=label[:120],
        quantity=quantity,
        occurred_at=occurred_at,
        day=day,
    )
    if is_new or event.quantity != quantity:
        event.quantity = quantity
        book(event)
    return event


def book(event: CreditEvent) -> CreditEntry | None:
    """Book the difference between what the event is worth now and what stands in the ledger, if any.

    The rule is the one that the source's first entry remembers, else the one of the event's day; no rule, no
    entry. Balances and what gradebook columns of credits show change in the same transaction.
    """
    account_id = lock_account(event.person_id)
    own, revision, first = _standing(account_id, event)
    rule = rule_of_entry(first) if first else rule_for(event)
    if rule is None:
        return None
    terms = Rule(rule.rate, rule.cap_day, rule.cap_week, rule.cap_term)
    booked = _booked(account_id, event, own) if terms.has_caps else Booked(own=own)
    difference = worth(event.quantity, terms, booked) - booked.own
    if difference == 0:
        return None
    entry = CreditEntry(
        account_id=account_id,
        event_id=event.id,
        rule_id=rule.id,
        term_id=event.term_id,
        category=rule.category,
        source_kind=event.source_kind,
        source_id=event.source_id,
        revision=revision + 1,
        amount=difference,
    )
    db.session.add(entry)
    db.session.flush()  # the database judges the entry before the balance follows it
    _add_to_balance(entry)
    project_person(event.person_id, event.term_id)
    return entry


def lock_account(person_id: int) -> int:
    """The person's account id, made on first need; its row stays locked until the transaction ends.

    Raises NotAParent.
    """
    person = db.session.get(Person, person_id)
    if person is None or person.kind is not PersonKind.PARENT:
        raise NotAParent(person_id)
    find = select(CreditAccount.id).where(CreditAccount.person_id == person_id).with_for_update()
    account_id = db.session.scalar(find)
    if account_id is None:
        db.session.execute(
            _insert(CreditAccount)
            .values(person_id=person_id)
            .on_conflict_do_nothing(index_elements=["person_id"])
        )
        account_id = db.session.scalars(find).one()
    return account_id


def rebuild_balances(account_id: int) -> None:
    """Make the balances of an account the sums of its entries again (after `credits audit` found them off)."""
    db.session.execute(select(CreditAccount.id).where(CreditAccount.id == account_id).with_for_update())
    db.session.execute(delete(CreditBalance).where(CreditBalance.account_id == account_id))
    keys = (CreditEntry.account_id, CreditEntry.term_id, CreditEntry.category)
    sums = select(*keys, func.sum(CreditEntry.amount)).where(CreditEntry.account_id == account_id)
    db.session.execute(
        _insert(CreditBalance).from_select(
            ["account_id", "term_id", "category", "amount"], sums.group_by(*keys)
        )
    )


def _recorded(key: dict[str, Any], **values: Any) -> tuple[CreditEvent, bool]:
    """The event with this unique key, fresh, and whether it was inserted just now."""
    inserted = db.session.scalar(
        _insert(CreditEvent)
        .values(**key, **values)
        .on_conflict_do_nothing(index_elements=list(key))
        .returning(CreditEvent.id)
    )
    find = select(CreditEvent).filter_by(**key).execution_options(populate_existing=True)
    return db.session.scalars(find).one(), inserted is not None


def _standing(account_id: int, event: CreditEvent) -> tuple[int, int, int | None]:
    """What stands in the ledger for the event's source: the sum, the last revision, the first entry's id."""
    row = db.session.execute(
        select(func.coalesce(func.sum(CreditEntry.amount), 0), func.count(), func.min(CreditEntry.id)).where(
            CreditEntry.account_id == account_id,
            CreditEntry.source_kind == event.source_kind,
            CreditEntry.source_id == event.source_id,
        )
    ).one()
    return int(row[0]), row[1], row[2]


def _booked(account_id: int, event: CreditEvent, own: int) -> Booked:
    monday, sunday = week_of(event.day)
    of_day = CreditEvent.day == event.day
    of_week = CreditEvent.day.between(monday, sunday)
    of_term = CreditEntry.term_id == event.term_id
    sums = [
        func.coalesce(func.sum(case((window, CreditEntry.amount), else_=0)), 0)
        for window in (of_day, of_week, of_term)
    ]
    day, week, term = db.session.execute(
        select(*sums)
        .join(CreditEvent, CreditEvent.id == CreditEntry.event_id)
        .where(
            CreditEntry.account_id == account_id,
            CreditEntry.source_kind == event.source_kind,
            CreditEntry.source_id != event.source_id,
            of_week | of_term,
        )
    ).one()
    return Booked(own=own, day=int(day), week=int(week), term=int(term))


def _add_to_balance(entry: CreditEntry) -> None:
    insert = _insert(CreditBalance).values(
        account_id=entry.account_id, term_id=entry.term_id, category=entry.category, amount=entry.amount
    )
    db.session.execute(
        insert.on_conflict_do_update(
            index_elements=["account_id", "term_id", "category"],
            set_={"amount": CreditBalance.amount + insert.excluded.amount},
        )
    )


def _insert(model: Any) -> Any:
    """INSERT with ON CONFLICT, in the dialect of the database."""
    return (sqlite if db.engine.dialect.name == "sqlite" else postgresql).insert(model)
