"""The people a platform sends, the humans behind them, and the places they come from."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from integrations.terms import CourseRole
from lti_app.clock import utc_now
from lti_app.extensions import EnumText, Id, Model
from lti_app.organisations.models import School
from lti_app.registrations.models import Deployment


class PersonKind(StrEnum):
    PARENT = "parent"
    PUPIL = "pupil"


class Audience(StrEnum):
    """Who the Learners of a class are; a launch never says."""

    PARENTS = "parents"
    PUPILS = "pupils"
    FAMILIES = "families"


class MembershipStatus(StrEnum):
    ACTIVE = "active"
    INACTIVE = "inactive"


class Person(Model):
    """A human. A parent owns a credit account; pupils never earn in the bank."""

    __tablename__ = "person"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    kind: Mapped[PersonKind] = mapped_column(EnumText(PersonKind))
    label: Mapped[str | None] = mapped_column(String(40))
    """How a member of a family that shares one login is called on the page (妈妈, 爷爷…)."""
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class LtiUser(Model):
    """Somebody at one platform: (registration, sub). Names are what the platform last sent, if it did."""

    __tablename__ = "lti_user"
    __table_args__ = (
        UniqueConstraint("registration_id", "sub"),
        Index(None, "registration_id", "sis_id"),
        Index(None, "registration_id", "legacy_id"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    registration_id: Mapped[int] = mapped_column(ForeignKey("registration.id"))
    sub: Mapped[str] = mapped_column(String(255))
    name: Mapped[str | None] = mapped_column(String(255))
    email: Mapped[str | None] = mapped_column(String(320))
    sis_id: Mapped[str | None] = mapped_column(String(255))
    legacy_id: Mapped[str | None] = mapped_column(String(255))
    """The same user's LTI 1.1 id, where the platform told it."""
    last_person_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    """Who of the family was here last."""
    created_at: Mapped[datetime] = mapped_column(default=utc_now)

    grants: Mapped[list[Grant]] = relationship(lazy="raise", back_populates="lti_user")


class PersonLink(Model):
    """`person` comes by this login. Families share one; one human may have several.

    `role_key` ("parent", "pupil", "parent:妈妈") makes two first launches at once agree on one person.
    """

    __tablename__ = "person_link"
    __table_args__ = (
        UniqueConstraint("lti_user_pk", "person_id"),
        UniqueConstraint("lti_user_pk", "role_key"),
        Index(None, "person_id"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    lti_user_pk: Mapped[int] = mapped_column(ForeignKey("lti_user.id"))
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    role_key: Mapped[str] = mapped_column(String(60))
    child_pk: Mapped[int | None] = mapped_column(ForeignKey("lti_user.id"))
    """For which of several children the parent came by this login last."""

    person: Mapped[Person] = relationship(lazy="raise")


class Context(Model):
    """A course or section of the LMS: the class. Its id is unique only within its deployment."""

    __tablename__ = "context"
    __table_args__ = (UniqueConstraint("deployment_pk", "context_id"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    registration_id: Mapped[int] = mapped_column(ForeignKey("registration.id"))
    deployment_pk: Mapped[int] = mapped_column(ForeignKey("deployment.id"))
    school_id: Mapped[int] = mapped_column(ForeignKey("school.id"))
    context_id: Mapped[str] = mapped_column(String(255))
    title: Mapped[str | None] = mapped_column(String(255))
    audience: Mapped[Audience | None] = mapped_column(EnumText(Audience))
    """None: the teacher has not said; each Learner is asked once."""
    created_at: Mapped[datetime] = mapped_column(default=utc_now)

    school: Mapped[School] = relationship(lazy="raise")
    deployment: Mapped[Deployment] = relationship(lazy="raise")


class ResourceLink(Model):
    """A place in the LMS where we are embedded, with the service addresses its launches gave."""

    __tablename__ = "resource_link"
    __table_args__ = (UniqueConstraint("context_pk", "resource_link_id"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    context_pk: Mapped[int] = mapped_column(ForeignKey("context.id"))
    resource_link_id: Mapped[str] = mapped_column(String(255))
    title: Mapped[str | None] = mapped_column(String(255))
    line_items_url: Mapped[str | None] = mapped_column(Text)
    line_item_url: Mapped[str | None] = mapped_column(Text)
    ags_scopes: Mapped[list] = mapped_column(default=list)
    nrps_url: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)

    context: Mapped[Context] = relationship(lazy="raise")


class Membership(Model):
    """What somebody is in a class.

    What a launch said of the role stands until the next launch or until the person leaves; of those who never
    launched, the roster says it. See `lti_app.roster.pages`.
    """

    __tablename__ = "membership"
    __table_args__ = (UniqueConstraint("context_pk", "lti_user_pk"), Index(None, "lti_user_pk"))

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    context_pk: Mapped[int] = mapped_column(ForeignKey("context.id"))
    lti_user_pk: Mapped[int] = mapped_column(ForeignKey("lti_user.id"))
    role: Mapped[CourseRole] = mapped_column(EnumText(CourseRole))
    stated_kind: Mapped[PersonKind | None] = mapped_column(EnumText(PersonKind))
    """What a Learner answered when asked whether a parent or a pupil is here."""
    listed_kind: Mapped[PersonKind | None] = mapped_column(EnumText(PersonKind))
    """What an imported list of the school says a Learner is; it counts for more than the class's audience."""
    status: Mapped[MembershipStatus] = mapped_column(
        EnumText(MembershipStatus), default=MembershipStatus.ACTIVE
    )
    last_launch_at: Mapped[datetime | None]
    roster_run: Mapped[int | None]
    """The reading of the roster (`RosterSync.run`) that found them last; None: none ever did."""

    lti_user: Mapped[LtiUser] = relationship(lazy="raise")


class GuardianSource(StrEnum):
    """Who told us that somebody is a child's guardian: the platform by a launch's claim, or by a custom
    parameter; an imported list of the school; a code that a teacher printed."""

    ROLE_SCOPE_MENTOR = "role_scope_mentor"
    OBSERVEES = "observees"
    SIS_IMPORT = "sis_import"
    CLAIM_CODE = "claim_code"


class RemovedBy(StrEnum):
    TEACHER = "teacher"
    GUARDIAN = "guardian"


class Guardianship(Model):
    """`person` is a guardian of the child behind `child_pk`, unless it was removed.

    A removed row stays, so that what a platform repeats at every launch does not bring back what somebody
    took away. Only a person's deliberate act does: a claim code, an applied import, the teacher's "restore".
    """

    __tablename__ = "guardianship"
    __table_args__ = (
        UniqueConstraint("person_id", "child_pk"),
        CheckConstraint("(removed_at IS NULL) = (removed_by IS NULL)", name="removed_by_somebody"),
        Index(None, "child_pk"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    child_pk: Mapped[int] = mapped_column(ForeignKey("lti_user.id"))
    source: Mapped[GuardianSource] = mapped_column(EnumText(GuardianSource))
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    removed_at: Mapped[datetime | None]
    removed_by: Mapped[RemovedBy | None] = mapped_column(EnumText(RemovedBy))


class Right(StrEnum):
    """What a login may see beyond its launches. district: every school of a district. school_admin: one
    school. author, reviewer: open courses that are not published."""

    DISTRICT = "district"
    SCHOOL_ADMIN = "school_admin"
    AUTHOR = "author"
    REVIEWER = "reviewer"


class Grant(Model):
    """A right of a login. Rights belong to the login that was verified, not to who shares it."""

    __tablename__ = "right_grant"
    __table_args__ = (UniqueConstraint("lti_user_pk", "right"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    lti_user_pk: Mapped[int] = mapped_column(ForeignKey("lti_user.id"))
    right: Mapped[Right] = mapped_column(EnumText(Right))
    granted_by: Mapped[str] = mapped_column(String(120))
    granted_at: Mapped[datetime] = mapped_column(default=utc_now)

    lti_user: Mapped[LtiUser] = relationship(lazy="raise", back_populates="grants")
