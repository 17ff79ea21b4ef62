"""Codes that prove who somebody is to a child or to another account, kept as hashes, and who guessed wrong."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from lti_app.clock import utc_now
from lti_app.extensions import Id, Model


class ClaimCode(Model):
    """The code on the slip of one child. A new one takes the place of the old, which opens nothing any more."""

    __tablename__ = "claim_code"
    __table_args__ = (
        UniqueConstraint("child_pk"),
        UniqueConstraint("code_hash"),
        CheckConstraint("uses_left >= 0", name="uses_left"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    registration_id: Mapped[int] = mapped_column(ForeignKey("registration.id"))
    """The platform of the child: guardians of other platforms link their accounts instead."""
    child_pk: Mapped[int] = mapped_column(ForeignKey("lti_user.id"))
    code_hash: Mapped[str] = mapped_column(String(64))
    uses_left: Mapped[int]
    made_by: Mapped[int] = mapped_column(ForeignKey("lti_user.id"))
    made_at: Mapped[datetime] = mapped_column(default=utc_now)
    expires_at: Mapped[datetime]


class LinkCode(Model):
    """A parent asked by one login for a code to type at another of theirs. One at a time, used once."""

    __tablename__ = "link_code"
    __table_args__ = (UniqueConstraint("person_id"), UniqueConstraint("code_hash"))

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    lti_user_pk: Mapped[int] = mapped_column(ForeignKey("lti_user.id"))
    code_hash: Mapped[str] = mapped_column(String(64))
    expires_at: Mapped[datetime]


class CodeAttempts(Model):
    """How many wrong codes a login or a platform has tried in the hour that began with the first of them."""

    __tablename__ = "code_attempts"
    __table_args__ = (Index(None, "began_at"),)

    who: Mapped[str] = mapped_column(String(64), primary_key=True)
    wrong: Mapped[int]
    began_at: Mapped[datetime]
