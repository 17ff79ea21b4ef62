"""Logins under way and the sessions that launches opened. Nothing here outlives its expiry."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint, and_, false
from sqlalchemy.orm import Mapped, foreign, mapped_column, relationship

from integrations.terms import CourseRole, MessageType
from lti_app.extensions import EnumText, Id, Model
from lti_app.registrations.models import Deployment, Registration
from lti_app.roster.models import Context, Guardianship, LtiUser, Person, ResourceLink


class LoginState(Model):
    """An OIDC login that waits for its launch: taken (deleted) by the first launch that shows it."""

    __tablename__ = "login_state"
    __table_args__ = (UniqueConstraint("state"), UniqueConstraint("nonce"), Index(None, "expires_at"))

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    state: Mapped[str] = mapped_column(String(64))
    nonce: Mapped[str] = mapped_column(String(64))
    registration_id: Mapped[int] = mapped_column(ForeignKey("registration.id"))
    browser_hash: Mapped[str] = mapped_column(String(64))
    """SHA-256 of the secret that the browser keeps, in a cookie or in the platform's storage."""
    storage_target: Mapped[str | None] = mapped_column(String(255))
    """The platform's frame that keeps data for tools (LTI Client Side postMessages), if it has one."""
    parameters: Mapped[dict] = mapped_column()
    """The login's own parameters, to repeat it in a new tab, and the address at the platform."""
    expires_at: Mapped[datetime]


class LaunchSession(Model):
    """What one launch may do, found by the SHA-256 of the key in the page addresses.

    `lti_user_pk` is None for an anonymous visitor, who reads and leaves nothing.
    """

    __tablename__ = "launch_session"
    __table_args__ = (UniqueConstraint("key_hash"), Index(None, "expires_at"))

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    key_hash: Mapped[str] = mapped_column(String(64))
    cookie_hash: Mapped[str | None] = mapped_column(String(64))
    """Set when the browser showed a cookie at launch: then the key alone opens nothing."""
    registration_id: Mapped[int] = mapped_column(ForeignKey("registration.id"))
    deployment_pk: Mapped[int] = mapped_column(ForeignKey("deployment.id"))
    lti_user_pk: Mapped[int | None] = mapped_column(ForeignKey("lti_user.id"))
    person_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    context_pk: Mapped[int | None] = mapped_column(ForeignKey("context.id"))
    resource_link_pk: Mapped[int | None] = mapped_column(ForeignKey("resource_link.id"))
    message_type: Mapped[MessageType] = mapped_column(EnumText(MessageType))
    role: Mapped[CourseRole] = mapped_column(EnumText(CourseRole))
    is_administrator: Mapped[bool] = mapped_column(default=False)
    is_test_user: Mapped[bool] = mapped_column(default=False)
    for_user: Mapped[str | None] = mapped_column(String(255))
    custom: Mapped[dict] = mapped_column()
    deep_linking: Mapped[dict | None] = mapped_column()
    """What a deep linking request accepts (the fields of DeepLinkingSettings); None for other messages."""
    child_pk: Mapped[int | None] = mapped_column(ForeignKey("lti_user.id"))
    """Which of several children the parent is here for; pages ask `current_child()`."""
    several_children: Mapped[bool] = mapped_column(default=False, server_default=false())
    """The parent has children to choose from."""
    locale: Mapped[str] = mapped_column(String(16))
    return_url: Mapped[str | None] = mapped_column(Text)
    frame_origins: Mapped[list] = mapped_column()
    started_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    expires_at: Mapped[datetime]

    registration: Mapped[Registration] = relationship(lazy="raise")
    deployment: Mapped[Deployment] = relationship(lazy="raise")
    lti_user: Mapped[LtiUser | None] = relationship(lazy="raise", foreign_keys=[lti_user_pk])
    child: Mapped[LtiUser | None] = relationship(lazy="raise", foreign_keys=[child_pk])
    guardianship: Mapped[Guardianship | None] = relationship(
        lazy="raise",
        viewonly=True,
        primaryjoin=lambda: and_(
            foreign(LaunchSession.person_id) == Guardianship.person_id,
            foreign(LaunchSession.child_pk) == Guardianship.child_pk,
            Guardianship.removed_at.is_(None),
        ),
    )
    person: Mapped[Person | None] = relationship(lazy="raise")
    context: Mapped[Context | None] = relationship(lazy="raise")
    resource_link: Mapped[ResourceLink | None] = relationship(lazy="raise")


class PageTicket(Model):
    """A one-time link to a page of a launch, for a new tab, which does not see the frame's cookie: taken
    (deleted) by the first tab that shows it."""

    __tablename__ = "page_ticket"
    __table_args__ = (
        UniqueConstraint("token_hash"),
        Index(None, "launch_session_pk"),
        Index(None, "expires_at"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    token_hash: Mapped[str] = mapped_column(String(64))
    launch_session_pk: Mapped[int] = mapped_column(ForeignKey("launch_session.id", ondelete="CASCADE"))
    path: Mapped[str] = mapped_column(Text)
    """The page, with its query, after the launch's own address."""
    expires_at: Mapped[datetime]
