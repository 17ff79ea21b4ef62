"""How far the rosters of classes are read, and who may open a link."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from lti_app.extensions import EnumText, Id, Model
from lti_app.roster.models import Context, ResourceLink


class SyncState(StrEnum):
    """IDLE: the last reading is applied, or there was none. HELD: read whole, but what it takes away waits
    for a person. FAILED: the last reading did not come to its end."""

    IDLE = "idle"
    QUEUED = "queued"
    RUNNING = "running"
    HELD = "held"
    FAILED = "failed"


class RosterSync(Model):
    """How far a class's roster is read, and when it is read next. With a `resource_link_pk` it is the list of
    who may open that link: a part of the class, by which nobody leaves.

    A worker that dies leaves `next_url`, where any other goes on. `code` says why it is held, failed, or will
    be tried again.
    """

    __tablename__ = "roster_sync"
    __table_args__ = (
        Index(
            "uq_roster_sync_context_pk",
            "context_pk",
            unique=True,
            sqlite_where=text("resource_link_pk IS NULL"),
            postgresql_where=text("resource_link_pk IS NULL"),
        ),
        UniqueConstraint("resource_link_pk"),
        Index(None, "registration_id", "due_at"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    registration_id: Mapped[int] = mapped_column(ForeignKey("registration.id"))
    context_pk: Mapped[int] = mapped_column(ForeignKey("context.id"))
    resource_link_pk: Mapped[int | None] = mapped_column(ForeignKey("resource_link.id"))
    state: Mapped[SyncState] = mapped_column(EnumText(SyncState), default=SyncState.IDLE)
    code: Mapped[str | None] = mapped_column(String(64))
    due_at: Mapped[datetime | None]
    """When a worker takes it up; None: not by itself."""
    requested_at: Mapped[datetime | None]
    requested_by_pk: Mapped[int | None] = mapped_column(ForeignKey("lti_user.id"))
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    """When a reading last came to its end and was applied."""
    full_at: Mapped[datetime | None]
    """When a reading of everybody, and not only of differences, was last applied."""
    run: Mapped[int] = mapped_column(default=0)
    is_differences: Mapped[bool] = mapped_column(default=False)
    """The reading under way tells only what changed."""
    next_url: Mapped[str | None] = mapped_column(Text)
    differences_url: Mapped[str | None] = mapped_column(Text)
    attempts: Mapped[int] = mapped_column(default=0)
    pages: Mapped[int] = mapped_column(default=0)
    known: Mapped[int] = mapped_column(default=0)
    """How many active members a roster had listed when a reading was last settled: who would leave is compared
    with them, so that newcomers of a doubtful list do not make it less doubtful the next day."""
    seen: Mapped[int] = mapped_column(default=0)
    added: Mapped[int] = mapped_column(default=0)
    changed: Mapped[int] = mapped_column(default=0)
    gone: Mapped[int] = mapped_column(default=0)
    """Who left with the last applied reading; while HELD, who would."""
    unreadable: Mapped[int] = mapped_column(default=0)
    named: Mapped[int] = mapped_column(default=0)
    """How many came with a name in this reading."""
    mailed: Mapped[int] = mapped_column(default=0)
    """How many with an e-mail address."""
    had_names: Mapped[bool] = mapped_column(default=False)
    """The last reading of everybody brought names, so one without any means: forget them."""
    had_emails: Mapped[bool] = mapped_column(default=False)

    context: Mapped[Context] = relationship(lazy="raise")
    resource_link: Mapped[ResourceLink | None] = relationship(lazy="raise")


class LinkMember(Model):
    """The platform lets this login open this link, as of reading `run` of the link's list."""

    __tablename__ = "link_member"
    __table_args__ = (UniqueConstraint("resource_link_pk", "lti_user_pk"), Index(None, "lti_user_pk"))

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    resource_link_pk: Mapped[int] = mapped_column(ForeignKey("resource_link.id"))
    lti_user_pk: Mapped[int] = mapped_column(ForeignKey("lti_user.id"))
    run: Mapped[int] = mapped_column()
