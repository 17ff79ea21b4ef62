"""What a teacher has chosen so far in one launch of the picker, and whether it was sent."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from lti_app.courses.models import Counts, Course, Dated
from lti_app.extensions import EnumText, Id, Model


class PickedCourse(Dated, Model):
    """A course in the basket of a launch. It goes with the launch session; what was sent stays as ContentItem."""

    __tablename__ = "picked_course"
    __table_args__ = (
        UniqueConstraint("launch_session_id", "course_id"),
        CheckConstraint("maximum BETWEEN 1 AND 1000", name="maximum"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    launch_session_id: Mapped[int] = mapped_column(ForeignKey("launch_session.id", ondelete="CASCADE"))
    course_id: Mapped[int] = mapped_column(ForeignKey("course.id"))
    position: Mapped[int]
    """The order in the LMS; of equals the one that was chosen first."""
    counts: Mapped[Counts] = mapped_column(EnumText(Counts))
    maximum: Mapped[int]

    course: Mapped[Course] = relationship(lazy="raise")


class ContentAnswer(Model):
    """The launch's request for content was answered: one row, so one answer, however often it is pressed."""

    __tablename__ = "content_answer"
    __table_args__ = (UniqueConstraint("launch_session_id"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    launch_session_id: Mapped[int] = mapped_column(ForeignKey("launch_session.id", ondelete="CASCADE"))
    answered_at: Mapped[datetime]
