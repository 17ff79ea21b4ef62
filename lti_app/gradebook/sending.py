"""One score to one platform: network only, no database. What came of it is told as `Done`."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import structlog

from integrations.errors import AddressRefused, PlatformError, PlatformRejected
from integrations.lti.ags import AgsClient
from integrations.platforms.base import Platform
from integrations.terms import LineItem, Outcome, Score, ScoreAnswer, SentScore, ServiceAccess
from lti_app.clock import utc_now
from lti_app.gradebook.policy import STEPS

log = structlog.get_logger()

# The platform's clock may be ahead of ours: with each refusal of our time we claim a later one (seconds).
LATER = (0, 2, 30, 300)
# A slow platform is not asked again within one lease: a token and a post may take 30 s each.
TRY_SECONDS = 10.0
# With these the platform speaks of itself and not of this score: it gets a rest at once.
_OVERLOADED = frozenset({403, 408, 425, 429, 503})
MOST_FAILURES = 3
_COLUMN_REFUSALS = {
    "not-found": Outcome.COLUMN_GONE,
    "forbidden": Outcome.MISCONFIGURED,
    "refused": Outcome.MISCONFIGURED,
    "no-gradebook-address": Outcome.MISCONFIGURED,
    "scope-not-granted": Outcome.MISCONFIGURED,
}


@dataclass(frozen=True, slots=True)
class Column:
    """Where scores go, and what is needed to find or make it while it has no `url`."""

    id: int
    url: str | None
    line_items_url: str | None
    resource_link_id: str
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
    score: Score
    sent: SentScore | None


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a job. No `answer`: there is nothing to send. `timestamp` is the accepted one."""

    job: Job
    answer: ScoreAnswer | None
    timestamp: datetime | None = None


@dataclass(slots=True)
class Sender:
    """Sends the scores of one turn, one call in flight, and notices when the platform itself is in trouble.

    `trouble` is then the answer that showed it, and nothing more should be sent.
    """

    ags: AgsClient
    access: ServiceAccess
    platform: Platform
    trouble: ScoreAnswer | None = None
    found: dict[int, str] = field(default_factory=dict)
    """Addresses of columns that were found or made in this turn."""
    _verdicts: dict[int, ScoreAnswer] = field(default_factory=dict)
    _failures: int = 0

    def send(self, job: Job) -> Done:
        """Send one score. Never raises."""
        if not self.platform.may_send(job.score, job.sent):
            return Done(job, None)
        known = self._verdicts.get(job.column.id)
        if known is not None:
            return Done(job, known)
        done = self._try(job)
        assert done.answer is not None
        if STEPS[done.answer.outcome].whole_column or self._is_lost(job.column):
            self._verdicts[job.column.id] = done.answer
        self._notice(done.answer)
        return done

    def _is_lost(self, column: Column) -> bool:
        """Whether the column could not be found or made."""
        return column.url is None and column.id not in self.found

    def _try(self, job: Job) -> Done:
        try:
            url = job.column.url or self.found.get(job.column.id) or self._find(job.column)
            return self._post(job, url)
        except AddressRefused as error:
            return Done(job, ScoreAnswer(Outcome.MISCONFIGURED, detail=error.code))
        except PlatformRejected as error:
            outcome = _COLUMN_REFUSALS.get(error.code) if self._is_lost(job.column) else None
            answer = ScoreAnswer(outcome or Outcome.REAUTHENTICATE, error.status, detail=error.code)
            if outcome is None:
                self.trouble = answer
            return Done(job, answer)
        except PlatformError as error:
            self.trouble = ScoreAnswer(Outcome.RETRY, error.status, error.retry_after, error.code)
            return Done(job, self.trouble)
        except Exception as error:
            # A fault of ours with one score must not keep its whole school waiting.
            log.error("score not sent", score=job.id, error=type(error).__name__)
            return Done(job, ScoreAnswer(Outcome.MISCONFIGURED, detail="internal-error"))

    def _post(self, job: Job, url: str) -> Done:
        until = time.monotonic() + TRY_SECONDS
        for later in LATER:
            now = utc_now() + timedelta(seconds=later)
            body = self.platform.score_body(job.score, sent=job.sent, now=now)
            answer = self.platform.classify(self.ags.post_score(self.access, url, body))
            if answer.outcome is not Outcome.FRESH_TIMESTAMP or time.monotonic() > until:
                break
        return Done(job, answer, datetime.fromisoformat(body["timestamp"]))

    def _find(self, column: Column) -> str:
        """The link's column: one that is there, else a new one. Looking first, because platforms check no
        uniqueness and we may have died after making it."""
        if column.line_items_url is None:
            raise PlatformRejected("no-gradebook-address")
        link_id = column.resource_link_id if self.platform.line_item_with_resource_link else None
        wanted = LineItem(
            label=column.label,
            maximum=self.platform.column_maximum(Decimal(100)),
            resource_link_id=link_id,
            resource_id=column.resource_id,
        )
        there = self.ags.line_items(
            self.access,
            column.line_items_url,
            resource_link_id=link_id,
            resource_id=None if link_id else column.resource_id,
        )
        item = _the_one(there, wanted) or self.ags.create_line_item(
            self.access, column.line_items_url, wanted
        )
        assert item.url is not None
        self.found[column.id] = item.url
        return item.url

    def _notice(self, answer: ScoreAnswer) -> None:
        if answer.outcome not in (Outcome.RETRY, Outcome.REAUTHENTICATE):
            self._failures = 0
            return
        self._failures += 1
        asked_to_wait = answer.outcome is Outcome.RETRY and (
            answer.retry_after is not None or answer.status in _OVERLOADED
        )
        if asked_to_wait or self._failures >= MOST_FAILURES:
            self.trouble = answer


def _the_one(there: list[LineItem], wanted: LineItem) -> LineItem | None:
    """Ours by resource id, else the link's only one. Platforms ignore filters they do not know."""
    of_link = [item for item in there if item.resource_link_id == wanted.resource_link_id]
    ours = [item for item in of_link if item.resource_id == wanted.resource_id]
    if ours:
        return ours[0]
    return of_link[0] if wanted.resource_link_id and len(of_link) == 1 else None


def job_of(row: Any) -> Job:
    """A job from a row of `delivery.due_scores`."""
    sent = None
    if row.sent_at is not None:
        sent = SentScore(row.sent_at, Decimal(row.sent_given) / 100, row.sent_submitted_at, row.sent_comment)
    return Job(
        id=row.id,
        revision=row.revision,
        attempts=row.attempts,
        outcome=row.outcome,
        column=Column(
            row.line_item_id, row.url, row.line_items_url, row.resource_link_id, row.resource_id, row.label
        ),
        score=Score(
            user_id=row.sub,
            given=Decimal(row.given) / 100,
            maximum=Decimal(row.maximum) / 100,
            activity_progress=row.activity_progress,
            grading_progress=row.grading_progress,
            submitted_at=row.submitted_at,
            comment=row.comment,
        ),
        sent=sent,
    )
