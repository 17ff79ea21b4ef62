"""What the pages of the picker read; the number of queries never depends on the number of rows."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import joinedload, selectinload

from lti_app.courses.models import ContentItem, Course
from lti_app.deep_linking.models import ContentAnswer, PickedCourse
from lti_app.extensions import db


def picks(launch_session_id: int) -> Sequence[PickedCourse]:
    """The basket of a launch in its order, with the courses and their stages."""
    return db.session.scalars(
        select(PickedCourse)
        .where(PickedCourse.launch_session_id == launch_session_id)
        .order_by(PickedCourse.position, PickedCourse.id)
        .options(joinedload(PickedCourse.course, innerjoin=True).options(selectinload(Course.stages)))
    ).all()


def answer_of(launch_session_id: int) -> ContentAnswer | None:
    """That the launch's request was answered, if it was."""
    return db.session.scalar(
        select(ContentAnswer).where(ContentAnswer.launch_session_id == launch_session_id)
    )


def items_of(launch_session_id: int) -> Sequence[ContentItem]:
    """What the answer held, in its order, with the courses; nothing when it was "nothing"."""
    return db.session.scalars(
        select(ContentItem)
        .where(ContentItem.launch_session_id == launch_session_id)
        .order_by(ContentItem.position)
        .options(joinedload(ContentItem.course, innerjoin=True))
    ).all()
