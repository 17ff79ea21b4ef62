"""Districts, their schools, and the terms that credits are counted in."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import CheckConstraint, ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from lti_app.clock import utc_now
from lti_app.extensions import Id, Model


class District(Model):
    """An education alliance (教联体): owns catalogue, rules and all its schools."""

    __tablename__ = "district"
    __table_args__ = (UniqueConstraint("name"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(String(120))
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class School(Model):
    """A school; its time zone decides what a day, a week and a term is for its people."""

    __tablename__ = "school"
    __table_args__ = (UniqueConstraint("district_id", "name"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    district_id: Mapped[int] = mapped_column(ForeignKey("district.id"))
    name: Mapped[str] = mapped_column(String(120))
    time_zone: Mapped[str] = mapped_column(String(64), default="Asia/Shanghai")
    created_at: Mapped[datetime] = mapped_column(default=utc_now)

    district: Mapped[District] = relationship(lazy="raise")


class Term(Model):
    """A district's school term; days are inclusive at both ends and terms do not overlap."""

    __tablename__ = "term"
    __table_args__ = (
        UniqueConstraint("district_id", "starts_on"),
        CheckConstraint("starts_on <= ends_on", name="in_order"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    district_id: Mapped[int] = mapped_column(ForeignKey("district.id"))
    starts_on: Mapped[date]
    ends_on: Mapped[date]
