"""Which course a class was copied from, as platforms tell by notices.

A platform that copies a course gives its links new ids; what was chosen for the old ones is found through
here (Platform Notification Service 1.0, LtiContextCopyNotice).
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, String, UniqueConstraint, literal, select
from sqlalchemy.orm import Mapped, aliased, mapped_column

from integrations.lti.notices import SCOPE_NOTICES, WANTED
from integrations.terms import Launch
from lti_app.clock import utc_now
from lti_app.extensions import Id, Model, db, insert_into
from lti_app.registrations.models import Deployment

MOST_ORIGINS = 10


class ContextCopy(Model):
    """The platform copied content of the course `origin_context_id` into `context_id`. The ids are the
    platform's own, because either course may never have launched us."""

    __tablename__ = "context_copy"
    __table_args__ = (UniqueConstraint("registration_id", "context_id", "origin_context_id"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    registration_id: Mapped[int] = mapped_column(ForeignKey("registration.id"))
    context_id: Mapped[str] = mapped_column(String(255))
    origin_context_id: Mapped[str] = mapped_column(String(255))
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


def note_notice_service(launch: Launch, deployment: Deployment) -> None:
    """Have notices asked for where a launch offers them: written when the address is new, else nothing."""
    offered = launch.notices
    if offered is None or SCOPE_NOTICES not in offered.scopes or offered.notice_types.isdisjoint(WANTED):
        return
    if deployment.notices_url != offered.url:
        deployment.notices_url, deployment.notices_due_at = offered.url, utc_now()


def record_copy(registration_id: int, context_id: str, origin_context_id: str) -> bool:
    """Remember a copy; False when it was known, or a course is said to be its own copy."""
    if context_id == origin_context_id:
        return False
    new = db.session.scalar(
        insert_into(ContextCopy)
        .values(
            registration_id=registration_id,
            context_id=context_id,
            origin_context_id=origin_context_id,
            created_at=utc_now(),
        )
        .on_conflict_do_nothing()
        .returning(ContextCopy.id)
    )
    return new is not None


def origins_of(registration_id: int, context_id: str) -> list[str]:
    """The context ids that this course was copied from: its own origins first (the newest first), then
    theirs, at most ten. One query; circles, which re-imports make, end."""
    own = (ContextCopy.registration_id == registration_id, ContextCopy.context_id == context_id)
    chain = (
        select(
            ContextCopy.origin_context_id.label("origin"),
            ContextCopy.id.label("copy_id"),
            literal(1).label("depth"),
        )
        .where(*own)
        .cte("chain", recursive=True)
    )
    older = aliased(ContextCopy)
    chain = chain.union(
        select(older.origin_context_id, older.id, chain.c.depth + 1)
        .join(chain, older.context_id == chain.c.origin)
        .where(older.registration_id == registration_id, chain.c.depth < MOST_ORIGINS)
    )
    rows = db.session.scalars(select(chain.c.origin).order_by(chain.c.depth, chain.c.copy_id.desc()))
    found = dict.fromkeys(origin for origin in rows if origin != context_id)
    return list(found)[:MOST_ORIGINS]
