"""Lists that somebody is importing, and the guardians whom a school expects to come."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, Index, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from lti_app.clock import utc_now
from lti_app.extensions import EnumText, Id, Model


class BatchKind(StrEnum):
    LINKS = "links"
    ACCOUNTS = "accounts"


class ImportBatch(Model):
    """An uploaded list between its preview and its use, of one login; gone after a day.

    `body` is encrypted: it holds names and, once files were made, first passwords. Phone numbers are not in it.
    """

    __tablename__ = "import_batch"
    __table_args__ = (Index(None, "expires_at"), Index(None, "lti_user_pk"))

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    school_id: Mapped[int] = mapped_column(ForeignKey("school.id"))
    lti_user_pk: Mapped[int] = mapped_column(ForeignKey("lti_user.id"))
    kind: Mapped[BatchKind] = mapped_column(EnumText(BatchKind))
    body: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    expires_at: Mapped[datetime]
    applied_at: Mapped[datetime | None]


class ExpectedGuardian(Model):
    """A guardian for whom account files were made. `number` is the SIS id and user name that we gave."""

    __tablename__ = "expected_guardian"
    __table_args__ = (UniqueConstraint("school_id", "number"), UniqueConstraint("school_id", "person_hash"))

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    school_id: Mapped[int] = mapped_column(ForeignKey("school.id"))
    number: Mapped[str] = mapped_column(String(40))
    person_hash: Mapped[str | None] = mapped_column(String(64))
    """Keyed hash of phone (or e-mail) and name: knows the guardian again in the next list."""
    name: Mapped[str | None] = mapped_column(String(100))
    """Only where the school wants to see names."""
    invited_at: Mapped[datetime] = mapped_column(default=utc_now)

    children: Mapped[list[ExpectedChild]] = relationship(lazy="raise", back_populates="guardian")


class ExpectedChild(Model):
    """A pupil of an expected guardian. `slot` (妈妈, 爸爸, 奶奶2 …) is the guardian's place with this pupil."""

    __tablename__ = "expected_child"
    __table_args__ = (UniqueConstraint("school_id", "pupil_number", "slot"), Index(None, "guardian_id"))

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    guardian_id: Mapped[int] = mapped_column(ForeignKey("expected_guardian.id"))
    school_id: Mapped[int] = mapped_column(ForeignKey("school.id"))
    pupil_number: Mapped[str] = mapped_column(String(64))
    slot: Mapped[str] = mapped_column(String(24))
    relation: Mapped[str] = mapped_column(String(20))
    class_label: Mapped[str] = mapped_column(String(60))

    guardian: Mapped[ExpectedGuardian] = relationship(lazy="raise", back_populates="children")
