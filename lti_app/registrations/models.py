"""Our client id at a platform, its deployments, and the keys we sign with."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, LargeBinary, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from lti_app.clock import utc_now
from lti_app.extensions import EnumText, Id, Model
from lti_app.organisations.models import School


class RegistrationStatus(StrEnum):
    ACTIVE = "active"
    DISABLED = "disabled"


class DeploymentStatus(StrEnum):
    ACTIVE = "active"
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
    created_at: Mapped[datetime] = mapped_column(default=utc_now)

    school: Mapped[School] = relationship(lazy="raise")
    deployments: Mapped[list[Deployment]] = relationship(lazy="raise", back_populates="registration")


class Deployment(Model):
    """An installation of the tool in (a part of) the platform."""

    __tablename__ = "deployment"
    __table_args__ = (UniqueConstraint("registration_id", "deployment_id"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    registration_id: Mapped[int] = mapped_column(ForeignKey("registration.id"))
    deployment_id: Mapped[str] = mapped_column(String(255))
    status: Mapped[DeploymentStatus] = mapped_column(
        EnumText(DeploymentStatus), default=DeploymentStatus.ACTIVE
    )
    created_at: Mapped[datetime] = mapped_column(default=utc_now)

    registration: Mapped[Registration] = relationship(lazy="raise", back_populates="deployments")


class ToolKey(Model):
    """An RSA key of ours. Published while not retired; the newest active one signs."""

    __tablename__ = "tool_key"
    __table_args__ = (UniqueConstraint("kid"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    kid: Mapped[str] = mapped_column(String(64))
    private_key_encrypted: Mapped[bytes] = mapped_column(LargeBinary)
    """The PKCS#8 PEM, encrypted (Fernet) with KEY_ENCRYPTION_KEY."""
    public_jwk: Mapped[dict] = mapped_column()
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    retired_at: Mapped[datetime | None]
