"""Due scores as they are when they are read, and what became of them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import select

from integrations.errors import Exchange
from integrations.lti.ags import SCOPE_RESULT_READ
from integrations.terms import GradingProgress, Outcome, Result, ScoreAnswer, SentScore
from integrations.terms import Score as ScoreToSend
from lti_app.delivery.services import reading
from lti_app.extensions import db
from lti_app.gradebook.models import Difference, LineItem, Score
from lti_app.roster.models import LtiUser, ResourceLink

BATCH = 100
_SCORE = Score.__table__
_NOT_NEEDED = ("registration_id", "lti_user_pk", "seen_at", "seen_maximum", "difference")
_DUE = (
    select(
        *(column for column in _SCORE.c if column.name not in _NOT_NEEDED),
        LineItem.url,
        LineItem.resource_id,
        LineItem.label,
        LineItem.ends_at,
        LineItem.maximum.label("maximum_before"),
        ResourceLink.resource_link_id,
        ResourceLink.line_items_url,
        ResourceLink.ags_scopes,
        LtiUser.sub,
        LtiUser.name,
        LtiUser.email,
    )
    .join(LineItem, LineItem.id == Score.line_item_id)
    .join(LtiUser, LtiUser.id == Score.lti_user_pk)
    .outerjoin(ResourceLink, ResourceLink.id == LineItem.resource_link_pk)
    .order_by(Score.due_at, Score.id)
    .limit(BATCH)
)


@dataclass(frozen=True, slots=True)
class Column:
    """Where scores go, and what is needed to find or make it while it has no `url`."""

    id: int
    url: str | None
    line_items_url: str | None
    resource_link_id: str | None
    resource_id: str | None
    label: str


@dataclass(frozen=True, slots=True)
class Job:
    """A due score as it was when it was read: revision and all."""

    id: int
    revision: int
    attempts: int
    outcome: Outcome | None
    column: Column
    score: ScoreToSend
    sent: SentScore | None
    insisted_at: datetime | None = None
    """When a teacher asked for it, whatever the gradebook shows."""
    in_doubt: bool = False
    """Whether the gradebook may show a value of ours that we do not know to be there."""
    was_seen: bool = False
    """Whether the gradebook showed a grade when it was read last."""
    may_read_results: bool = False
    late: bool = False
    """What was sent last was handed in after the column's end."""
    maximum_before: Decimal | None = None
    """The column's maximum in the LMS, as last read."""
    private: tuple[str, ...] = ()
    """Words that say who it is about: for no log and no page."""


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a job. No `answer`: there is nothing to send. `timestamp` is the accepted one, `exchange`
    the one that failed; `seen` and `difference` what the gradebook shows instead of what was sent last. Not
    `posted`: the score surely was not sent."""

    job: Job
    answer: ScoreAnswer | None
    timestamp: datetime | None = None
    exchange: Exchange | None = None
    seen: Result | None = None
    difference: Difference | None = None
    posted: bool = True


def due_scores(registration_id: int, now: datetime, *, without: Collection[int] = ()) -> list[Job]:
    """The next scores to send, at most BATCH, the longest due first, with all that sending needs; not those
    `without`, which are on their way."""
    query = _DUE.where(Score.registration_id == registration_id, Score.due_at <= now)
    if without:
        query = query.where(Score.id.not_in(without))
    with reading():
        return [_job(row) for row in db.session.execute(query)]


def _job(row: Any) -> Job:
    return Job(
        id=row.id,
        revision=row.revision,
        attempts=row.attempts,
        outcome=row.outcome,
        column=Column(
            row.line_item_id, row.url, row.line_items_url, row.resource_link_id, row.resource_id, row.label
        ),
        score=ScoreToSend(
            user_id=row.sub,
            given=Decimal(row.given) / 100,
            maximum=Decimal(row.maximum) / 100,
            activity_progress=row.activity_progress,
            grading_progress=row.grading_progress,
            submitted_at=row.submitted_at,
            comment=row.comment,
        ),
        sent=_sent(row),
        insisted_at=row.insisted_at,
        in_doubt=row.in_doubt,
        was_seen=row.seen_given is not None,
        # Of a column of credits no launch says what may be read: asking shows it.
        may_read_results=row.ags_scopes is None or SCOPE_RESULT_READ in row.ags_scopes,
        late=None not in (row.ends_at, row.sent_submitted_at) and row.sent_submitted_at > row.ends_at,
        maximum_before=None if row.maximum_before is None else Decimal(row.maximum_before) / 100,
        private=tuple(word for word in (row.sub, row.name, row.email, row.comment) if word),
    )


def _sent(row: Any) -> SentScore | None:
    if row.sent_at is None:
        return None
    return SentScore(
        row.sent_at, Decimal(row.sent_given) / 100, row.sent_submitted_at, row.sent_comment, row.sent_final
    )


def is_final(job: Job) -> bool:
    """Whether it is sent as a final grade."""
    return job.score.grading_progress is GradingProgress.FULLY_GRADED
