"""Who is talking to which platform now, and when it may be talked to again."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from lti_app.extensions import Id, Model

SINCE_EVER = datetime(1970, 1, 1, tzinfo=UTC)


class DeliverySlot(Model):
    """One per registration: the lease that makes one worker at a time serve it, and its circuit."""

    __tablename__ = "delivery_slot"

    registration_id: Mapped[int] = mapped_column(
        Id, ForeignKey("registration.id"), primary_key=True, autoincrement=False
    )
    holder: Mapped[str | None] = mapped_column(String(64))
    lease_until: Mapped[datetime | None]
    blocked_until: Mapped[datetime | None]
    """Not before this moment: the platform asked us to wait, or failed several times in a row."""
    failures: Mapped[int] = mapped_column(default=0)
    """Consecutive failures of the platform as a whole (timeouts, 5xx, refused tokens)."""
    last_error: Mapped[str | None] = mapped_column(String(64))
    last_success_at: Mapped[datetime | None]
    offered_until: Mapped[datetime | None]
    """Handed to a queue of workers; not handed out again before this moment."""
    clock_ahead: Mapped[int] = mapped_column(default=0)
    """Milliseconds by which the platform's clock is ahead of ours, from the `Date` of its answers."""


class DeliveryTally(Model):
    """How many deliveries of a registration ended how: in windows of ten minutes (kept two days), and since
    ever under the bucket `SINCE_EVER`."""

    __tablename__ = "delivery_tally"

    registration_id: Mapped[int] = mapped_column(ForeignKey("registration.id"), primary_key=True)
    bucket: Mapped[datetime] = mapped_column(primary_key=True)
    outcome: Mapped[str] = mapped_column(String(32), primary_key=True)
    count: Mapped[int] = mapped_column(default=0)


class FailedExchange(Model):
    """The last exchange with a platform that failed, for its administrator: no tokens, no personal data."""

    __tablename__ = "failed_exchange"

    registration_id: Mapped[int] = mapped_column(
        Id, ForeignKey("registration.id"), primary_key=True, autoincrement=False
    )
    at: Mapped[datetime]
    code: Mapped[str] = mapped_column(String(64))
    method: Mapped[str] = mapped_column(String(8))
    url: Mapped[str] = mapped_column(Text)
    status: Mapped[int | None]
    content_type: Mapped[str] = mapped_column(String(120), default="")
    request: Mapped[str] = mapped_column(Text, default="")
    answer: Mapped[str] = mapped_column(Text, default="")
