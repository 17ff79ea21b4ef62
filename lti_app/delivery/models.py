"""Who is talking to which platform now, and when it may be talked to again."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from lti_app.extensions import Id, Model


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
