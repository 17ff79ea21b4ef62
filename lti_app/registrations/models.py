"""Our client id at a platform, its deployments, and the keys we sign with."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, Index, LargeBinary, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from lti_app.clock import utc_now
from lti_app.extensions import EnumText, Id, Model
from lti_app.organisations.models import School


class RegistrationStatus(StrEnum):
    ACTIVE = "active"
    PENDING = "pending"
    """It registered itself without an invitation and waits for the operator."""
    DISABLED = "disabled"


class DeploymentStatus(StrEnum):
    ACTIVE = "active"
    PENDING = "pending"
    REJECTED = "rejected"


class DeploymentPolicy(StrEnum):
    """What becomes of a deployment that a launch is the first to name."""

    ACCEPT = "accept"
    PENDING = "pending"


class Registration(Model):
    """A platform's trust in us: one client id at one issuer, with the platform's addresses."""

    __tablename__ = "registration"
    __table_args__ = (UniqueConstraint("issuer", "client_id"), UniqueConstraint("name"))

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    school_id: Mapped[int] = mapped_column(ForeignKey("school.id"))
    name: Mapped[str] = mapped_column(String(120))
    kind: Mapped[str] = mapped_column(String(32))
    """Which adapter of `integrations.platforms` speaks to it."""
    issuer: Mapped[str] = mapped_column(String(255))
    client_id: Mapped[str] = mapped_column(String(255))
    auth_url: Mapped[str] = mapped_column(Text)
    token_url: Mapped[str] = mapped_column(Text)
    token_audience: Mapped[str] = mapped_column(Text)
    jwks_url: Mapped[str] = mapped_column(Text)
    frame_origins: Mapped[list] = mapped_column()
    """Origins that may frame us, besides those of verified launches' return URLs."""
    allow_http: Mapped[bool] = mapped_column(default=False)
    allow_private_network: Mapped[bool] = mapped_column(default=False)
    status: Mapped[RegistrationStatus] = mapped_column(
        EnumText(RegistrationStatus), default=RegistrationStatus.ACTIVE
    )
    deployment_policy: Mapped[DeploymentPolicy] = mapped_column(
        EnumText(DeploymentPolicy), default=DeploymentPolicy.PENDING, server_default="pending"
    )
    created_at: Mapped[datetime] = mapped_column(default=utc_now)

    school: Mapped[School] = relationship(lazy="raise")
    deployments: Mapped[list[Deployment]] = relationship(lazy="raise", back_populates="registration")


class Deployment(Model):
    """An installation of the tool in (a part of) the platform."""

    __tablename__ = "deployment"
    __table_args__ = (UniqueConstraint("registration_id", "deployment_id"), Index(None, "notices_due_at"))

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    registration_id: Mapped[int] = mapped_column(ForeignKey("registration.id"))
    deployment_id: Mapped[str] = mapped_column(String(255))
    status: Mapped[DeploymentStatus] = mapped_column(
        EnumText(DeploymentStatus), default=DeploymentStatus.ACTIVE
    )
    platform: Mapped[dict | None] = mapped_column()
    """What its last launch said of the platform: `family`, `version`, `guid`, `name`."""
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    notices_url: Mapped[str | None] = mapped_column(Text)
    """Where its launches say that notices are asked for."""
    notices_due_at: Mapped[datetime | None]
    """When to ask for them (again)."""
    notices_state: Mapped[str | None] = mapped_column(String(64))
    """"on", or the code of what went wrong the last time."""

    registration: Mapped[Registration] = relationship(lazy="raise", back_populates="deployments")


class Invitation(Model):
    """Leave for one platform to register itself, for a school and until a day. Its code is kept hashed."""

    __tablename__ = "invitation"
    __table_args__ = (UniqueConstraint("code_hash"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    school_id: Mapped[int] = mapped_column(ForeignKey("school.id"))
    code_hash: Mapped[str] = mapped_column(String(64))
    deployment_policy: Mapped[DeploymentPolicy] = mapped_column(EnumText(DeploymentPolicy))
    allow_http: Mapped[bool] = mapped_column(default=False)
    allow_private_network: Mapped[bool] = mapped_column(default=False)
    expires_at: Mapped[datetime]
    taken_until: Mapped[datetime | None]
    """A registration is under way and ends before this moment, one way or the other."""
    used_at: Mapped[datetime | None]
    registration_id: Mapped[int | None] = mapped_column(ForeignKey("registration.id"))
    created_at: Mapped[datetime] = mapped_column(default=utc_now)

    school: Mapped[School] = relationship(lazy="raise")
    registration: Mapped[Registration | None] = relationship(lazy="raise")


class ToolKey(Model):
    """An RSA key of ours. Published while not retired; the newest one whose time has come signs."""

    __tablename__ = "tool_key"
    __table_args__ = (UniqueConstraint("kid"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    kid: Mapped[str] = mapped_column(String(64))
    private_key_encrypted: Mapped[bytes] = mapped_column(LargeBinary)
    """The PKCS#8 PEM, encrypted (Fernet) with KEY_ENCRYPTION_KEY."""
    public_jwk: Mapped[dict] = mapped_column()
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    signs_from: Mapped[datetime | None]
    """Not before this moment, so that platforms have time to fetch it; None: since it was made."""
    retired_at: Mapped[datetime | None]
