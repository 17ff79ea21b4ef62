"""What a link should show that nobody has placed a course in yet, as its launch tells.

In this order: the content item that was given to the LMS by deep linking; what a link showed that this one is
a copy of; the course that a custom parameter names. Everything here only reads. Teachers can type custom
parameters, so nothing is found outside the launch's own registration.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Select, select
from sqlalchemy.orm import joinedload

from lti_app.courses.dates import NO_DATES, dates_of
from lti_app.courses.models import ContentItem, Counts, Course, CourseStatus, Placement
from lti_app.courses.queries import course_by_slug
from lti_app.extensions import db
from lti_app.launches.models import LaunchSession
from lti_app.roster.copies import origins_of
from lti_app.roster.models import Context, ResourceLink

COURSE = "gongyu_course"
"""The custom parameter of a link that names its course by slug."""
ITEM = "gongyu_item"
"""The custom parameter of a deep-linked link: the public id of its content item."""
LINK_HISTORY = "link_history"
"""`$ResourceLink.id.history`: the links that this one was copied from, the newest first."""
CONTEXT_HISTORY = "context_history"
"""`$Context.id.history`: the same of the class."""
_MOST_ORIGINS = 50
# What platforms write into a history that they cannot tell, or not wholly.
_NO_ORIGINS = frozenset({"", "truncated", "timed out"})
_PUBLIC_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Proposal:
    """What to place. `chosen_at` None: at this moment. `is_copy`: taken over from another link, which is
    `copied_from_pk` if we know it."""

    course_slug: str
    course_id: int
    counts: Counts = Counts.RESULT
    maximum: int | None = None
    dates: Mapping[str, datetime | None] = field(default_factory=lambda: NO_DATES)
    content_item_pk: int | None = None
    chosen_at: datetime | None = None
    is_copy: bool = False
    copied_from_pk: int | None = None


def proposed(launch: LaunchSession) -> Proposal | None:
    """The proposal for the launch's link; None when it names nothing that we know and may be shown."""
    return _by_item(launch) or _by_history(launch) or _by_parameter(launch)


def history(text: object) -> list[str]:
    """The ids of a history parameter, the newest first, without what stands for "no answer"."""
    parts = (part.strip() for part in str(text or "").split(","))
    ids = [part for part in parts if part.lower() not in _NO_ORIGINS and not part.startswith("$")]
    return list(dict.fromkeys(ids))[:_MOST_ORIGINS]


def chosen_again(launch: LaunchSession, placement: Placement) -> ContentItem | None:
    """The content item that the launch carries, if a teacher has chosen it for this link since what it shows:
    most platforms let them choose anew for a link that is there."""
    public_id = _item_id(launch)
    if not public_id or (placement.content_item and placement.content_item.public_id == public_id):
        return None
    item = _item(launch, public_id)
    if item is None or item.context_pk not in (None, launch.context_pk):
        return None
    is_newer = placement.chosen_at is None or item.created_at > placement.chosen_at
    return item if is_newer else None


def _item_id(launch: LaunchSession) -> str:
    public_id = str(launch.custom.get(ITEM) or "").strip()
    return public_id if _PUBLIC_ID.fullmatch(public_id) else ""


def _item(launch: LaunchSession, public_id: str) -> ContentItem | None:
    """The content item of the launch's registration, if its course may be shown."""
    return db.session.scalar(
        select(ContentItem)
        .join(Course, Course.id == ContentItem.course_id)
        .where(
            ContentItem.public_id == public_id,
            ContentItem.registration_id == launch.registration_id,
            Course.status == CourseStatus.PUBLISHED,
        )
        .options(joinedload(ContentItem.course))
    )


def _by_item(launch: LaunchSession) -> Proposal | None:
    public_id = _item_id(launch)
    item = _item(launch, public_id) if public_id else None
    if item is None:
        return None
    earlier = _placed().where(Placement.content_item_pk == item.id).order_by(Placement.id)
    placements = _others(launch, earlier)
    if placements:
        origins = _origins(launch)
        return _copy_of(min(placements, key=lambda placement: _rank(placement, origins)), item.id)
    is_copy = item.context_pk is not None and item.context_pk != launch.context_pk
    return Proposal(
        item.course.slug,
        item.course_id,
        item.counts,
        item.maximum,
        NO_DATES if is_copy else dates_of(item),
        content_item_pk=item.id,
        chosen_at=item.created_at,
        is_copy=is_copy,
    )


def _by_history(launch: LaunchSession) -> Proposal | None:
    """The newest link of the link's own history; else, of the class's history, the newest class with exactly
    one link of the same title."""
    origins = _origins(launch)
    links = history(launch.custom.get(LINK_HISTORY))
    if links:
        placements = _others(launch, _placed().where(ResourceLink.resource_link_id.in_(links)))
        for link_id in links:
            same = [p for p in placements if p.resource_link.resource_link_id == link_id]
            one = _only(same) or _only([p for p in same if p.resource_link.context.context_id in origins])
            if one is not None:
                return _copy_of(one)
    title = launch.resource_link.title if launch.resource_link else None
    if origins and title:
        found = _placed().where(Context.context_id.in_(origins), ResourceLink.title == title)
        placements = _others(launch, found)
        for context_id in origins:
            one = _only([p for p in placements if p.resource_link.context.context_id == context_id])
            if one is not None:
                return _copy_of(one)
    return None


def _by_parameter(launch: LaunchSession) -> Proposal | None:
    slug = str(launch.custom.get(COURSE) or "").strip()
    course = course_by_slug(slug) if slug else None
    return Proposal(course.slug, course.id) if course is not None else None


def _placed() -> Select[Placement]:
    """Placements of courses that may be shown, with their course, link and class."""
    link = joinedload(Placement.resource_link, innerjoin=True).joinedload(
        ResourceLink.context, innerjoin=True
    )
    return (
        select(Placement)
        .join(ResourceLink, ResourceLink.id == Placement.resource_link_pk)
        .join(Context, Context.id == ResourceLink.context_pk)
        .join(Course, Course.id == Placement.course_id)
        .where(Course.status == CourseStatus.PUBLISHED)
        .options(joinedload(Placement.course, innerjoin=True), link)
    )


def _others(launch: LaunchSession, found: Select[Placement]) -> Sequence[Placement]:
    """Those of the launch's registration, at other links."""
    own = found.where(
        Context.registration_id == launch.registration_id,
        Placement.resource_link_pk != launch.resource_link_pk,
    )
    return db.session.scalars(own.order_by(Placement.id.desc()).limit(_MOST_ORIGINS)).all()


def _origins(launch: LaunchSession) -> list[str]:
    """The classes that the launch's class was copied from, as it says itself and as notices said."""
    said = history(launch.custom.get(CONTEXT_HISTORY))
    if launch.context is None:
        return said
    told = origins_of(launch.registration_id, launch.context.context_id)
    return [one for one in dict.fromkeys([*said, *told]) if one != launch.context.context_id]


def _rank(placement: Placement, origins: Sequence[str]) -> tuple[int, int]:
    """Nearest origin first; where none is known, the original."""
    context_id = placement.resource_link.context.context_id
    near = origins.index(context_id) if context_id in origins else len(origins)
    return near, placement.id


def _only(placements: Sequence[Placement]) -> Placement | None:
    return placements[0] if len(placements) == 1 else None


def _copy_of(placement: Placement, content_item_pk: int | None = None) -> Proposal:
    """Course, counting and maximum, but no dates: a copied class is a new term."""
    return Proposal(
        placement.course.slug,
        placement.course_id,
        placement.counts,
        placement.maximum,
        content_item_pk=content_item_pk or placement.content_item_pk,
        is_copy=True,
        copied_from_pk=placement.resource_link_pk,
    )
