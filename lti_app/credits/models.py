"""The credit bank (学分银行): what happened, the rules, and entries that are never changed.

All amounts are integers in hundredths (of a credit, a class hour, a point).
"""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from lti_app.clock import utc_now
from lti_app.extensions import EnumText, Id, Model
from lti_app.organisations.models import Term


class SourceKind(StrEnum):
    """What can be worth credits. The quantity of a course event is the course's own credits."""

    COURSE = "course"


class Category(StrEnum):
    COURSE = "course"


class CreditRule(Model):
    """How much one unit of an event is worth between two days, and the caps. Rows are ended, not edited.

    `district_id` None: for every district that has no rule of its own for the kind and day.
    """

    __tablename__ = "credit_rule"
    __table_args__ = (
        UniqueConstraint("district_id", "source_kind", "valid_from"),
        CheckConstraint("rate >= 0", name="rate_not_negative"),
        CheckConstraint("valid_until IS NULL OR valid_from <= valid_until", name="in_order"),
        CheckConstraint(
            "(cap_day IS NULL OR cap_day >= 0) AND (cap_week IS NULL OR cap_week >= 0)"
            " AND (cap_term IS NULL OR cap_term >= 0)",
            name="caps_not_negative",
        ),
        # NULLs are never equal to each other, so the default rules need a referee of their own.
        Index(
            "uq_credit_rule_default",
            "source_kind",
            "valid_from",
            unique=True,
            sqlite_where=text("district_id IS NULL"),
            postgresql_where=text("district_id IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    district_id: Mapped[int | None] = mapped_column(ForeignKey("district.id"))
    source_kind: Mapped[SourceKind] = mapped_column(EnumText(SourceKind))
    category: Mapped[Category] = mapped_column(EnumText(Category))
    rate: Mapped[int]
    """Hundredths of a credit for one whole unit (100: one credit per unit)."""
    cap_day: Mapped[int | None]
    cap_week: Mapped[int | None]
    cap_term: Mapped[int | None]
    valid_from: Mapped[date]
    valid_until: Mapped[date | None]
    """The last day, inclusive; None: still valid."""
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class CreditEvent(Model):
    """A creditable happening, recorded once, also when no rule pays for it."""

    __tablename__ = "credit_event"
    __table_args__ = (
        UniqueConstraint("person_id", "source_kind", "source_id"),
        CheckConstraint("quantity >= 0", name="quantity_not_negative"),
        Index(None, "person_id", "source_kind", "day"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    child_pk: Mapped[int | None] = mapped_column(ForeignKey("lti_user.id"))
    school_id: Mapped[int] = mapped_column(ForeignKey("school.id"))
    term_id: Mapped[int] = mapped_column(ForeignKey("term.id"))
    source_kind: Mapped[SourceKind] = mapped_column(EnumText(SourceKind))
    source_id: Mapped[str] = mapped_column(String(64))
    label: Mapped[str] = mapped_column(String(120), default="")
    """What it is called on a statement, for instance the course's title then; never a name of a person."""
    quantity: Mapped[int]
    """Hundredths of a unit of its kind."""
    occurred_at: Mapped[datetime]
    day: Mapped[date]
    """The day of `occurred_at` in the school's time zone."""


class CreditAccount(Model):
    """A parent's account. Its row is the lock under which its entries are booked."""

    __tablename__ = "credit_account"
    __table_args__ = (UniqueConstraint("person_id"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class CreditEntry(Model):
    """A line of the ledger. The database refuses any change or deletion (triggers in the migration)."""

    __tablename__ = "credit_entry"
    __table_args__ = (
        UniqueConstraint("account_id", "source_kind", "source_id", "revision"),
        CheckConstraint("amount <> 0", name="amount_not_zero"),
        CheckConstraint("revision >= 1", name="revision_counts_from_one"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("credit_account.id"))
    event_id: Mapped[int] = mapped_column(ForeignKey("credit_event.id"))
    rule_id: Mapped[int] = mapped_column(ForeignKey("credit_rule.id"))
    term_id: Mapped[int] = mapped_column(ForeignKey("term.id"))
    category: Mapped[Category] = mapped_column(EnumText(Category))
    source_kind: Mapped[SourceKind] = mapped_column(EnumText(SourceKind))
    source_id: Mapped[str] = mapped_column(String(64))
    revision: Mapped[int]
    amount: Mapped[int]
    booked_at: Mapped[datetime] = mapped_column(default=utc_now)

    event: Mapped[CreditEvent] = relationship(lazy="raise")
    term: Mapped[Term] = relationship(lazy="raise")


class CreditReason(Model):
    """Why an entry was made by hand. Apart from the ledger, so that it can be erased."""

    __tablename__ = "credit_reason"

    entry_id: Mapped[int] = mapped_column(
        Id, ForeignKey("credit_entry.id"), primary_key=True, autoincrement=False
    )
    reason: Mapped[str] = mapped_column(Text)


class CreditBalance(Model):
    """The sum of an account's entries per term and category, kept in the transaction of each entry."""

    __tablename__ = "credit_balance"

    account_id: Mapped[int] = mapped_column(ForeignKey("credit_account.id"), primary_key=True)
    term_id: Mapped[int] = mapped_column(ForeignKey("term.id"), primary_key=True)
    category: Mapped[Category] = mapped_column(EnumText(Category), primary_key=True)
    amount: Mapped[int] = mapped_column(default=0)
