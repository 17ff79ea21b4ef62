"""Choosing courses for an LMS, and giving them to it: once, however often the button is pressed."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import delete, func, insert, select

from integrations import terms
from integrations.lti.deep_linking import Answerer, response_jwt
from lti_app.clock import utc_now
from lti_app.courses.dates import NAMES, dates_of
from lti_app.courses.models import ContentItem, Counts, Course
from lti_app.courses.proposals import COURSE, ITEM
from lti_app.deep_linking.asked import Asked
from lti_app.deep_linking.models import ContentAnswer, PickedCourse
from lti_app.extensions import db, insert_into
from lti_app.launches.models import LaunchSession
from lti_app.registrations.keys import signing_key
from lti_app.registrations.models import Deployment

MOST_PICKS = 30
"""Courses in one answer: more would be a page that nobody reads and a message that some servers refuse."""
FULL_POINTS = 100
ON_ITS_WAY = timedelta(seconds=10)
"""How long the page that posts the answer is shown for it. A second press within that time is a double click,
whose first page the browser has thrown away; who comes back later is told that it was sent."""


class BasketFull(Exception):
    """No further course fits."""


def add(asked: Asked, course: Course) -> None:
    """Put a course at the end of the basket; where the platform takes one item only, in place of the other.

    Raises BasketFull. A course that is in it already stays as it is.
    """
    _take_turns(asked)
    own = PickedCourse.launch_session_id == asked.launch.id
    if not asked.rules.multiple:
        others = own & (PickedCourse.course_id != course.id)
        db.session.execute(delete(PickedCourse).where(others))
    number, last, here = db.session.execute(
        select(
            func.count(),
            func.coalesce(func.max(PickedCourse.position), 0),
            func.count().filter(PickedCourse.course_id == course.id),
        ).where(own)
    ).one()
    if number >= MOST_PICKS and not here:
        raise BasketFull
    db.session.execute(
        insert_into(PickedCourse)
        .values(
            launch_session_id=asked.launch.id,
            course_id=course.id,
            position=last + 1,
            counts=Counts.RESULT if asked.rules.columns else Counts.NOTHING,
            maximum=FULL_POINTS,
        )
        .on_conflict_do_nothing(index_elements=["launch_session_id", "course_id"])
    )


def _take_turns(asked: Asked) -> None:
    """Two tabs of one launch change its basket one after the other."""
    db.session.execute(select(LaunchSession.id).where(LaunchSession.id == asked.launch.id).with_for_update())


def remove(asked: Asked, course_id: int) -> None:
    """Take a course out of the basket, if it is there."""
    db.session.execute(
        delete(PickedCourse).where(
            PickedCourse.launch_session_id == asked.launch.id, PickedCourse.course_id == course_id
        )
    )


def change(pick: PickedCourse, values: Mapping[str, Any]) -> None:
    """Set what the form says of a pick: `counts`, `maximum` and the dates (UTC); what is missing stays."""
    for name in ("counts", "maximum", *NAMES):
        if name in values:
            setattr(pick, name, values[name])


def reorder(picks: Sequence[PickedCourse], pick_id: int, step: int) -> None:
    """Move one of the basket's picks by `step` places (-1 is up); at the end it stays."""
    order = moved([pick.id for pick in picks], pick_id, step)
    by_id = {pick.id: pick for pick in picks}
    for position, one in enumerate(order, 1):
        by_id[one].position = position


def moved(ids: Sequence[int], one: int, step: int) -> list[int]:
    """`ids` with `one` moved by `step` places within them; unchanged when it is not among them."""
    if one not in ids:
        return list(ids)
    rest = [other for other in ids if other != one]
    place = min(max(ids.index(one) + step, 0), len(rest))
    return [*rest[:place], one, *rest[place:]]


def answer(asked: Asked, picks: Sequence[PickedCourse]) -> bool:
    """Make the content items of the answer; without picks it says "nothing chosen".

    False: the request has been answered already, by another press of the button.
    """
    won = db.session.scalar(
        insert_into(ContentAnswer)
        .values(launch_session_id=asked.launch.id, answered_at=utc_now())
        .on_conflict_do_nothing(index_elements=["launch_session_id"])
        .returning(ContentAnswer.id)
    )
    if won is None:
        return False
    db.session.flush()
    rows = [
        {
            "public_id": secrets.token_hex(16),
            "registration_id": asked.launch.registration_id,
            "deployment_pk": asked.launch.deployment_pk,
            "context_pk": asked.launch.context_pk,
            "launch_session_id": asked.launch.id,
            "course_id": pick.course_id,
            "position": position,
            "counts": pick.counts,
            "maximum": pick.maximum,
            "created_by_pk": asked.launch.lti_user_pk,
            "created_at": utc_now(),
            **dates_of(pick),
        }
        for position, pick in enumerate(picks, 1)
    ]
    if rows:
        db.session.execute(insert(ContentItem), rows)
    return True


def message(asked: Asked, items: Sequence[ContentItem], *, url: str, collection: str, said: str) -> str:
    """The signed answer for the browser to post. `url` is our registered launch address, `said` a sentence
    for the person."""
    launch = asked.launch
    key = signing_key()
    answerer = Answerer(
        issuer=launch.registration.issuer,
        client_id=launch.registration.client_id,
        deployment_id=db.session.get_one(Deployment, launch.deployment_pk).deployment_id,
        kid=key.kid,
        private_key=key.private_key,
    )
    links = [_link(asked, item, url) for item in items]
    return response_jwt(
        answerer, asked.said, links, platform=asked.platform, collection=collection, message=said
    )


def _link(asked: Asked, item: ContentItem, url: str) -> terms.ContentItem:
    course = item.course
    column = None
    if asked.rules.columns and item.counts is not Counts.NOTHING:
        column = terms.ContentColumn(
            Decimal(item.maximum), course.title, resource_id=course.slug, tag=str(item.counts)
        )
    return terms.ContentItem(
        url=url,
        title=course.title,
        text=course.summary,
        custom={ITEM: item.public_id, COURSE: course.slug},
        column=column,
        available=terms.Period(item.opens_at, item.closes_at),
        submission=terms.Period(end=item.due_at),
        new_window=asked.new_window,
    )
