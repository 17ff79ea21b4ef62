"""Sending due scores: read some, send them outside any transaction, write down what came of it.

A worker that dies between sending and writing leaves the rows as they were; the same values are sent again.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import select

from integrations.platforms.registry import platform_for
from lti_app.clock import utc_now
from lti_app.delivery.services import due_registrations, reading
from lti_app.delivery.worker import Turn
from lti_app.extensions import db, platform_services
from lti_app.gradebook.bookkeeping import write_outcomes
from lti_app.gradebook.models import LineItem, Score
from lti_app.gradebook.sending import Done, Job, Sender, job_of
from lti_app.registrations.models import Registration, RegistrationStatus
from lti_app.registrations.services import service_access
from lti_app.roster.models import LtiUser, ResourceLink

BATCH = 100
WRITE_SECONDS = 1.0
_SCORE = Score.__table__


class ScoreDelivery:
    """The work of the delivery worker that tells platforms the scores."""

    def due(self, now: datetime) -> Sequence[int]:
        """Active registrations with a due score that may be called and that nobody serves now."""
        return due_registrations(Score.registration_id, Score.due_at, now)

    def serve(self, turn: Turn) -> int:
        """Send what is due until nothing is left, the turn is over, or the platform is in trouble."""
        sender = _sender(turn.registration_id)
        total = 0
        while sender is not None and not turn.is_over():
            jobs = due_scores(turn.registration_id, utc_now())
            if not jobs:
                break
            done, go_on = _send(turn, sender, jobs)
            total += done
            if not go_on:
                break
        return total


deliver = ScoreDelivery()


def due_scores(registration_id: int, now: datetime) -> list[Job]:
    """The next scores to send, the longest due first, with all that sending needs."""
    link, user = ResourceLink, LtiUser
    query = (
        select(
            *(column for column in _SCORE.c if column.name not in ("registration_id", "lti_user_pk")),
            LineItem.url,
            LineItem.resource_id,
            LineItem.label,
            link.resource_link_id,
            link.line_items_url,
            user.sub,
        )
        .join(LineItem, LineItem.id == Score.line_item_id)
        .join(link, link.id == LineItem.resource_link_pk)
        .join(user, user.id == Score.lti_user_pk)
        .where(Score.registration_id == registration_id, Score.due_at <= now)
        .order_by(Score.due_at, Score.id)
        .limit(BATCH)
    )
    with reading():
        return [job_of(row) for row in db.session.execute(query)]


def _sender(registration_id: int) -> Sender | None:
    """What sends to this platform, or None when it was switched off meanwhile."""
    with reading():
        registration = db.session.get_one(Registration, registration_id)
        if registration.status is not RegistrationStatus.ACTIVE:
            return None
        return Sender(platform_services().ags, service_access(registration), platform_for(registration.kind))


def _send(turn: Turn, sender: Sender, jobs: Iterable[Job]) -> tuple[int, bool]:
    """Send these; returns how many, and whether to go on. Writes at least once a second."""
    total = 0
    unwritten: list[Done] = []
    written = time.monotonic()
    for job in jobs:
        if turn.is_over() or sender.trouble:
            break
        unwritten.append(sender.send(job))
        total += 1
        if time.monotonic() - written >= WRITE_SECONDS:
            if not write_outcomes(turn, sender, unwritten):
                return total, False
            unwritten, written = [], time.monotonic()
    held = not unwritten or write_outcomes(turn, sender, unwritten)
    return total, held and sender.trouble is None
