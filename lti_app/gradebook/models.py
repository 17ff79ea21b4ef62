"""What the LMS should show: one row per column and person, and how far it has been told."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from integrations.terms import ActivityProgress, GradingProgress, Outcome
from lti_app.clock import utc_now
from lti_app.extensions import EnumText, Id, Model
from lti_app.roster.models import LtiUser, ResourceLink


class ScoreState(StrEnum):
    """`waiting`: will be sent or sent again by itself. `held`: cannot succeed until somebody acts (some of
    these are tried again once a day, because people act in the LMS without telling us)."""

    WAITING = "waiting"
    SENT = "sent"
    HELD = "held"


class LineItem(Model):
    """The gradebook column of an embedded link. Without `url` it still has to be found or made."""

    __tablename__ = "line_item"
    __table_args__ = (UniqueConstraint("resource_link_pk"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    registration_id: Mapped[int] = mapped_column(ForeignKey("registration.id"))
    resource_link_pk: Mapped[int] = mapped_column(ForeignKey("resource_link.id"))
    url: Mapped[str | None] = mapped_column(Text)
    resource_id: Mapped[str | None] = mapped_column(String(255))
    label: Mapped[str] = mapped_column(String(255))
    created_at: Mapped[datetime] = mapped_column(default=utc_now)

    resource_link: Mapped[ResourceLink] = relationship(lazy="raise")


class Score(Model):
    """The desired state of one gradebook cell. `revision` grows with each change of what it should show;
    the LMS knows `sent_revision`. Amounts are hundredths of `maximum`'s unit."""

    __tablename__ = "score"
    __table_args__ = (
        UniqueConstraint("line_item_id", "lti_user_pk"),
        CheckConstraint("given >= 0 AND given <= maximum", name="within_maximum"),
        CheckConstraint("sent_revision <= revision", name="sent_is_known"),
        Index("ix_score_due", "registration_id", "due_at", "id"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    registration_id: Mapped[int] = mapped_column(ForeignKey("registration.id"))
    line_item_id: Mapped[int] = mapped_column(ForeignKey("line_item.id"))
    lti_user_pk: Mapped[int] = mapped_column(ForeignKey("lti_user.id"))
    given: Mapped[int]
    maximum: Mapped[int]
    activity_progress: Mapped[ActivityProgress] = mapped_column(EnumText(ActivityProgress))
    grading_progress: Mapped[GradingProgress] = mapped_column(EnumText(GradingProgress))
    comment: Mapped[str | None] = mapped_column(Text)
    submitted_at: Mapped[datetime]
    revision: Mapped[int] = mapped_column(default=1)

    state: Mapped[ScoreState] = mapped_column(EnumText(ScoreState), default=ScoreState.WAITING)
    due_at: Mapped[datetime | None] = mapped_column(default=utc_now)
    """When it is delivered next; None: not by itself (sent, nothing to send, or held for good)."""
    attempts: Mapped[int] = mapped_column(default=0)
    """Unsuccessful deliveries of the present revision."""
    outcome: Mapped[Outcome | None] = mapped_column(EnumText(Outcome))
    detail: Mapped[str] = mapped_column(String(255), default="")
    sent_revision: Mapped[int] = mapped_column(default=0)
    sent_at: Mapped[datetime | None]
    sent_given: Mapped[int | None]
    sent_submitted_at: Mapped[datetime | None]
    sent_comment: Mapped[str | None] = mapped_column(Text)

    line_item: Mapped[LineItem] = relationship(lazy="raise")
    lti_user: Mapped[LtiUser] = relationship(lazy="raise")
