"""What the last check of a connection found, and which notices came."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from lti_app.extensions import EnumText, Id, Model


class CheckState(StrEnum):
    """`requested`: a worker will do it or is doing it; `results` grows meanwhile."""

    REQUESTED = "requested"
    DONE = "done"


class ConnectionCheck(Model):
    """The newest check of a registration."""

    __tablename__ = "connection_check"

    registration_id: Mapped[int] = mapped_column(
        Id, ForeignKey("registration.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    state: Mapped[CheckState] = mapped_column(EnumText(CheckState))
    requested_at: Mapped[datetime]
    checked_at: Mapped[datetime | None]
    results: Mapped[list] = mapped_column()
    """The fields of `findings.Finding`, one object for each."""


class ReceivedNotice(Model):
    """A verified notice: kept for two days, so that none counts twice."""

    __tablename__ = "received_notice"
    __table_args__ = (UniqueConstraint("registration_id", "notice_id"), Index(None, "received_at"))

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    registration_id: Mapped[int] = mapped_column(ForeignKey("registration.id"))
    notice_id: Mapped[str] = mapped_column(String(255))
    notice_type: Mapped[str] = mapped_column(String(64))
    deployment_pk: Mapped[int] = mapped_column(ForeignKey("deployment.id"))
    received_at: Mapped[datetime]
