"""What the LMS should show: one row per column and person, and how far it has been told."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, ColumnElement, ForeignKey, Index, String, Text, UniqueConstraint, and_
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import Mapped, mapped_column, relationship

from integrations.terms import ActivityProgress, GradingProgress, Outcome
from lti_app.clock import utc_now
from lti_app.extensions import EnumText, Id, Model
from lti_app.roster.models import Context, LtiUser, ResourceLink


class ScoreState(StrEnum):
    """`waiting`: will be sent or sent again by itself. `held`: cannot succeed until somebody acts (some of
    these are tried again once a day, because people act in the LMS without telling us). `dropped`: not meant
    for the LMS, because the link counts nothing now or its column is being removed."""

    WAITING = "waiting"
    SENT = "sent"
    HELD = "held"
    DROPPED = "dropped"


class ColumnKind(StrEnum):
    """What a column shows: the course of its link, or the credits of a term in a class."""

    LINK = "link"
    CREDITS = "credits"


class Keeps(StrEnum):
    """Which result a column shows of somebody who has several: the last one, or the best (never lowered)."""

    LATEST = "latest"
    BEST = "best"


class Sends(StrEnum):
    """Whether results are sent as they come, or stay here until a teacher releases them."""

    AT_ONCE = "at-once"
    ON_RELEASE = "on-release"


class ReadingState(StrEnum):
    """How the last reading of what the LMS shows in a column went."""

    NEVER = "never"
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class Difference(StrEnum):
    """How what the LMS shows differs from what was sent, and who made it so."""

    ROUNDED = "rounded"
    CAPPED = "capped"
    LATE = "late"
    """The LMS took something off for lateness."""
    CHANGED = "changed"
    """A teacher gave another grade in the LMS."""
    CLEARED = "cleared"
    """A teacher took the grade away in the LMS."""
    SWALLOWED = "swallowed"
    """The column takes scores and shows none of them."""


class LineItem(Model):
    """A gradebook column: of an embedded link, or of a term's credits in a class. Without `url` it still has
    to be found or made."""

    __tablename__ = "line_item"
    __table_args__ = (
        UniqueConstraint("resource_link_pk"),
        UniqueConstraint("context_pk", "term_id"),
        CheckConstraint("(kind = 'link') = (resource_link_pk IS NOT NULL)", name="link_has_a_link"),
        CheckConstraint(
            "(kind = 'credits') = (term_id IS NOT NULL AND target IS NOT NULL)", name="credits_have_a_term"
        ),
        CheckConstraint("target IS NULL OR target > 0", name="target_above_zero"),
        Index("ix_line_item_due", "registration_id", "due_at", "id"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    registration_id: Mapped[int] = mapped_column(ForeignKey("registration.id"))
    context_pk: Mapped[int] = mapped_column(ForeignKey("context.id"), index=True)
    kind: Mapped[ColumnKind] = mapped_column(EnumText(ColumnKind), default=ColumnKind.LINK)
    resource_link_pk: Mapped[int | None] = mapped_column(ForeignKey("resource_link.id"))
    term_id: Mapped[int | None] = mapped_column(ForeignKey("term.id"))
    target: Mapped[int | None]
    """Of a column of credits: how many (hundredths) are the whole grade."""
    url: Mapped[str | None] = mapped_column(Text)
    resource_id: Mapped[str | None] = mapped_column(String(255))
    tag: Mapped[str | None] = mapped_column(String(255))
    label: Mapped[str] = mapped_column(String(255))
    made_by_us: Mapped[bool] = mapped_column(default=False)
    """We made it in the LMS, so its label, maximum and dates are ours to keep in step."""
    maximum: Mapped[int | None]
    """Of the column in the LMS, in hundredths of its points, as last read there."""
    starts_at: Mapped[datetime | None]
    ends_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)

    keeps: Mapped[Keeps] = mapped_column(EnumText(Keeps), default=Keeps.LATEST)
    sends: Mapped[Sends] = mapped_column(EnumText(Sends), default=Sends.AT_ONCE)
    paused: Mapped[bool] = mapped_column(default=False)
    released_at: Mapped[datetime | None]

    due_at: Mapped[datetime | None]
    """When a worker looks after the column next: makes, changes or deletes it, or reads what it shows."""
    wants_edit: Mapped[bool] = mapped_column(default=False)
    wants_deletion: Mapped[bool] = mapped_column(default=False)
    attempts: Mapped[int] = mapped_column(default=0)
    """Unsuccessful tries in a row of what is due."""
    reading: Mapped[ReadingState] = mapped_column(EnumText(ReadingState), default=ReadingState.NEVER)
    reading_error: Mapped[str | None] = mapped_column(String(64))
    reading_began_at: Mapped[datetime | None]
    read_at: Mapped[datetime | None]
    """When all its results were last read and compared."""

    @hybrid_property
    def is_unmade(self) -> bool:
        """A column of credits that the LMS does not have yet: its cells wait until it is made."""
        return self.kind is ColumnKind.CREDITS and self.url is None

    @is_unmade.inplace.expression
    @classmethod
    def _is_unmade(cls) -> ColumnElement[bool]:
        return and_(cls.kind == ColumnKind.CREDITS, cls.url.is_(None))

    resource_link: Mapped[ResourceLink | None] = relationship(lazy="raise")
    context: Mapped[Context] = relationship(lazy="raise")


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
    sent_final: Mapped[bool] = mapped_column(default=False)
    """Whether what was sent last was a final grade: nothing less may follow it."""
    in_doubt: Mapped[bool] = mapped_column(default=False)
    """Another value than that was sent and we may never hear what came of it (a lost answer, a worker that
    died): a grade that differs from what was sent last may be ours, so it is no teacher's doing."""

    seen_at: Mapped[datetime | None]
    """When the LMS was last read for this cell."""
    seen_given: Mapped[int | None]
    """Hundredths of the LMS's points; None: it showed no grade."""
    seen_maximum: Mapped[int | None]
    difference: Mapped[Difference | None] = mapped_column(EnumText(Difference))
    insisted_at: Mapped[datetime | None]
    """When a teacher asked to replace the LMS's grade by ours."""

    line_item: Mapped[LineItem] = relationship(lazy="raise")
    lti_user: Mapped[LtiUser] = relationship(lazy="raise")
