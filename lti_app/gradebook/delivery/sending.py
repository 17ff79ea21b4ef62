"""One score to one platform: network only, no database. What came of it is told as `Done`."""

from __future__ import annotations

import threading
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

import structlog

from integrations.errors import AddressRefused, Exchange, PlatformError, PlatformRejected
from integrations.http import HttpAnswer, clock_ahead
from integrations.lti.ags import AgsClient
from integrations.platforms.base import Platform
from integrations.terms import LineItem, Outcome, Result, ScoreAnswer, ServiceAccess
from lti_app.clock import utc_now
from lti_app.gradebook.columns.finding import find_or_make
from lti_app.gradebook.delivery.jobs import Column, Done, Job
from lti_app.gradebook.delivery.respect import difference_by_teacher
from lti_app.gradebook.policy import STEPS

log = structlog.get_logger()

# The platform's clock may be ahead of what its answers say: with each refusal of our time we claim a later
# one (seconds).
LATER = (0, 2, 30, 300)
# A pause that an answer asks for, in seconds, whatever it says: a day of it after each accepted score would be
# one score a day.
LONGEST_PAUSE = 3600.0
# A slow platform is not asked again within one lease: a token and a post may take 30 s each.
TRY_SECONDS = 10.0
# With these the platform speaks of itself and not of this score: it gets a rest at once.
_OVERLOADED = frozenset({403, 408, 425, 429, 503})
MOST_FAILURES = 3
# So many tries of a score may end with not knowing what the gradebook shows; after them it is sent.
LOOKS = 3
TROUBLES = (Outcome.RETRY, Outcome.REAUTHENTICATE)
_COLUMN_REFUSALS = {
    "not-found": Outcome.COLUMN_GONE,
    "forbidden": Outcome.MISCONFIGURED,
    "refused": Outcome.MISCONFIGURED,
    "no-gradebook-address": Outcome.MISCONFIGURED,
    "scope-not-granted": Outcome.MISCONFIGURED,
}


@dataclass(slots=True)
class Sender:
    """Sends the scores of one turn, and notices when the platform itself is in trouble. Safe in threads.

    `trouble` is then the answer that showed it, `pause` the seconds that the platform asked us to leave it
    alone: with either, nothing more should be sent.
    """

    ags: AgsClient
    access: ServiceAccess
    platform: Platform
    ahead: float = 0.0
    """Seconds by which the platform's clock is ahead of ours, as its last answer says."""
    ahead_written: float = 0.0
    accepting: set[int] = field(default_factory=set)
    """Columns that are known to have accepted a score in this turn."""
    proven: bool = False
    """Whether it has answered well in this turn."""
    trouble: ScoreAnswer | None = None
    pause: float = 0.0
    found: dict[int, str] = field(default_factory=dict)
    """Addresses of columns that were found or made in this turn."""
    made: set[int] = field(default_factory=set)
    """Those of them that were not there."""
    _verdicts: dict[int, ScoreAnswer] = field(default_factory=dict)
    _failures: int = 0
    _no_results: bool = False
    _date: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _finding: threading.Lock = field(default_factory=threading.Lock)

    @property
    def is_halted(self) -> bool:
        """Whether to send nothing more in this turn."""
        return self.trouble is not None or self.pause > 0

    def send(self, job: Job) -> Done:
        """Send one score. Never raises."""
        if not self.platform.may_send(job.score, job.sent):
            return Done(job, None)
        with self._alone_if_lost(job.column):
            known = self._verdicts.get(job.column.id)
            if known is not None:
                return Done(job, known)
            done = self._try(job)
            assert done.answer is not None
            if STEPS[done.answer.outcome].whole_column or self._is_lost(job.column):
                self._verdicts[job.column.id] = done.answer
        self._notice(done.answer)
        return done

    def _alone_if_lost(self, column: Column) -> AbstractContextManager[object]:
        """A column is found or made once: the second caller waits for the first."""
        return self._finding if self._is_lost(column) else nullcontext()

    def _is_lost(self, column: Column) -> bool:
        """Whether the column's address is not known, or not yet."""
        return column.url is None and column.id not in self.found

    def _try(self, job: Job) -> Done:
        try:
            url = job.column.url or self.found.get(job.column.id) or self._find(job.column)
            return self._changed_by_teacher(job, url) or self._post(job, url)
        except AddressRefused as error:
            return Done(job, ScoreAnswer(Outcome.MISCONFIGURED, detail=error.code), exchange=error.exchange)
        except PlatformRejected as error:
            outcome = _COLUMN_REFUSALS.get(error.code) if self._is_lost(job.column) else None
            answer = ScoreAnswer(outcome or Outcome.REAUTHENTICATE, error.status, detail=error.code)
            if outcome is None:
                self.trouble = answer
            return Done(job, answer, exchange=error.exchange)
        except PlatformError as error:
            self.trouble = answer = ScoreAnswer(Outcome.RETRY, error.status, error.retry_after, error.code)
            return Done(job, answer, exchange=error.exchange)
        except Exception as error:
            # A fault of ours with one score must not keep its whole school waiting.
            log.error("score not sent", score=job.id, error=type(error).__name__)
            return Done(job, ScoreAnswer(Outcome.MISCONFIGURED, detail="internal-error"))

    def _post(self, job: Job, url: str) -> Done:
        until = time.monotonic() + TRY_SECONDS
        for later in LATER:
            # Too old for a platform that says to be behind us: then that is not the clock it compares with.
            ahead = max(self.ahead, 0.0) if later else self.ahead
            now = utc_now() + timedelta(seconds=ahead + later)
            body = self.platform.score_body(job.score, sent=job.sent, now=now)
            asked_at = time.time()
            http_answer = self.ags.post_score(self.access, url, body)
            self._learn(http_answer, asked_at)
            answer = self.platform.classify(http_answer)
            if answer.outcome is not Outcome.FRESH_TIMESTAMP or time.monotonic() > until:
                break
        exchange: Exchange | None = None if answer.outcome is Outcome.SENT else http_answer.exchange
        return Done(job, answer, datetime.fromisoformat(body["timestamp"]), exchange)

    def _learn(self, answer: HttpAnswer, asked_at: float) -> None:
        """What an answer's headers say of the platform itself."""
        self.pause = max(self.pause, min(self.platform.pause_after(answer), LONGEST_PAUSE))
        date = answer.header("Date")
        if date != self._date:  # it has whole seconds: many answers carry the same
            self._date = date
            ahead = clock_ahead(answer, asked_at, time.time())
            self.ahead = self.ahead if ahead is None else ahead

    def _changed_by_teacher(self, job: Job, url: str) -> Done | None:
        """Where nothing but our own care keeps a teacher's grade: whether there is one, before another value
        of ours replaces it. Where that cannot be read, for now, a few tries are waited for; it is no reason
        never to send."""
        if not self._must_look(job):
            return None
        assert job.sent is not None
        try:
            results = self.ags.results(self.access, url, job.score.user_id)
        except PlatformRejected as error:
            self._no_results = error.code in ("scope-not-granted", "token-refused", "forbidden")
            return None
        except PlatformError as error:
            if job.attempts >= LOOKS:
                return None
            answer = ScoreAnswer(Outcome.RETRY, error.status, error.retry_after, error.code)
            return Done(job, answer, exchange=error.exchange, posted=False)
        seen = next((one for one in results if one.user_id == job.score.user_id), None)
        if seen is None and not job.was_seen:
            return None  # not shown yet, or never
        seen = seen or Result(job.score.user_id, None, None)
        difference = difference_by_teacher(
            job.sent,
            job.score.maximum,
            seen,
            self.platform,
            late=job.late,
            maximum_before=job.maximum_before,
        )
        if difference is None:
            return None
        answer = ScoreAnswer(Outcome.OVERRIDDEN, detail=f"the gradebook shows another grade: {difference}")
        return Done(job, answer, seen=seen, difference=difference)

    def may_look(self, job: Job) -> bool:
        """Whether it will replace a grade that might be a teacher's, as far as its row tells."""
        if job.sent is None or job.sent.given == job.score.given or not job.may_read_results:
            return False
        return not self.platform.keeps_teacher_grades

    def _must_look(self, job: Job) -> bool:
        sent = job.sent
        if sent is None or not self.may_look(job) or job.in_doubt or self._no_results:
            return False
        # What was sent bears the platform's time.
        skew = timedelta(seconds=self.ahead)
        return job.insisted_at is None or job.insisted_at + skew <= sent.timestamp

    def _find(self, column: Column) -> str:
        """The address of a column that we know no address of."""
        wanted = LineItem(
            label=column.label,
            maximum=self.platform.column_maximum(Decimal(100)),
            resource_link_id=column.resource_link_id if self.platform.line_item_with_resource_link else None,
            resource_id=column.resource_id,
        )
        item, is_new = find_or_make(self.ags, self.access, column.line_items_url, wanted)
        if is_new:
            self.made.add(column.id)
        assert item.url is not None
        self.found[column.id] = item.url
        return item.url

    def _notice(self, answer: ScoreAnswer) -> None:
        with self._lock:
            if answer.outcome not in TROUBLES:
                self._failures, self.proven = 0, True
                return
            self._failures += 1
            asked_to_wait = answer.outcome is Outcome.RETRY and (
                answer.retry_after is not None or answer.status in _OVERLOADED
            )
            if asked_to_wait or self._failures >= MOST_FAILURES:
                self.trouble = answer
