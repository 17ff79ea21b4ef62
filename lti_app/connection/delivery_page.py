"""What the LMS's administrator sees of the sending of scores, and "try again now" for all of them.

Everything is the registration's: its deployments share one way to the LMS.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flask_babel import gettext
from sqlalchemy import select

from integrations.terms import Outcome
from lti_app.connection.checks import Finding, Step, Verdict
from lti_app.connection.words import sentence
from lti_app.delivery.models import FailedExchange
from lti_app.delivery.services import unblock, wake_after_commit
from lti_app.extensions import cache, db
from lti_app.gradebook.columns.care import request_reading
from lti_app.gradebook.locks import lock_columns
from lti_app.gradebook.models import LineItem, ReadingState, Score
from lti_app.gradebook.outcomes import OUTCOMES, Told
from lti_app.gradebook.oversight.queue import Pile, QueueFacts, queue_facts, tallies_since
from lti_app.gradebook.oversight.requeue import can_go_again, requeue
from lti_app.roster.models import Context

MOST = 20_000
"""Scores that one press makes due."""
MOST_READINGS = 2_000
"""Columns that one press has read again."""
PAUSE_SECONDS = 10
HOURS = 24
MOST_COLUMNS = 20
_WINDOW = timedelta(minutes=10)
_CLOCK_SECONDS = 2
_NO_STATUS = re.compile(r" ?[（(]HTTP -[）)]")


@dataclass(frozen=True, slots=True)
class Hour:
    """What was sent and what was not accepted from `start` on, for an hour."""

    start: datetime
    sent: int
    refused: int


@dataclass(frozen=True, slots=True)
class Trouble:
    """Scores that did not arrive for one reason, with its words and what to do."""

    words: Told
    count: int


@dataclass(frozen=True, slots=True)
class LostColumn:
    """A column that could not be read back."""

    label: str
    class_title: str | None
    error: str


@dataclass(frozen=True, slots=True)
class Sending:
    """All of the page. Rates are accepted scores per minute; `clock` is seconds that the platform's clock is
    ahead, None where it differs by no more than its answers can tell."""

    facts: QueueFacts
    resting_until: datetime | None
    hours: Sequence[Hour]
    rate_now: float
    rate_hour: float
    troubles: Sequence[Trouble]
    clock: float | None
    exchange: FailedExchange | None
    unreadable: Sequence[LostColumn]

    @property
    def is_unused(self) -> bool:
        """Nothing was ever sent, and nothing is to be sent."""
        slot = self.facts.slot
        return not (
            self.facts.unsent_count + self.facts.held_count + self.facts.withheld
            or (slot and (slot.last_success_at or slot.failures))
        )

    @property
    def sent(self) -> int:
        return sum(hour.sent for hour in self.hours)

    @property
    def refused(self) -> int:
        return sum(hour.refused for hour in self.hours)


def sending_of(registration_id: int, now: datetime) -> Sending:
    """Six queries, whatever the number of columns and scores."""
    (facts,) = queue_facts(registration_id)
    first_hour = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=HOURS - 1)
    tallies = tallies_since(registration_id, first_hour)
    slot = facts.slot
    seconds = slot.clock_ahead / 1000 if slot else 0.0
    return Sending(
        facts=facts,
        resting_until=slot.blocked_until if slot and facts.is_resting(now) else None,
        hours=_hours(tallies, first_hour),
        rate_now=_rate(tallies, now, _WINDOW),
        rate_hour=_rate(tallies, now, 6 * _WINDOW),
        troubles=_troubles(facts),
        clock=seconds if abs(seconds) > _CLOCK_SECONDS else None,
        exchange=db.session.get(FailedExchange, registration_id),
        unreadable=_unreadable(registration_id),
    )


def send_again(registration_id: int, now: datetime) -> int | None:
    """Try everything again now that was refused or waits, at most MOST scores, and the readings that failed;
    end the platform's rest. Returns how many scores.

    None: somebody did it less than ten seconds ago (told from the shared cache; without one, by the same
    process: a second press costs a few calls, nothing else). The caller commits.
    """
    key = f"sent-again:{registration_id}"
    if cache.get(key):
        return None
    cache.set(key, True, timeout=PAUSE_SECONDS)
    again = can_go_again(registration_id)
    failed = LineItem.registration_id == registration_id, LineItem.reading == ReadingState.FAILED
    unread = db.session.scalars(select(LineItem.id).where(*failed).limit(MOST_READINGS)).all()
    # In the order in which workers take them: the slot before columns.
    unblock(registration_id)
    # All columns before any cell, and in one go: a worker that settles one takes its column first too.
    held_up = db.session.scalars(select(Score.line_item_id).where(again).distinct()).all()
    lock_columns({*unread, *held_up}, alone=True)
    count = requeue(again, now, most=MOST)
    request_reading(unread, now)
    wake_after_commit()
    return count


def reason(code: str, status: int | None = None, **known: Any) -> str:
    """An error's code in a sentence that says what to do; `known` as for `words.sentence`."""
    if code == "internal-error":
        return gettext("本工具这里出错了，会自动再试；一直这样请联系本工具的运营人员。")
    if code in set(Outcome):
        words = OUTCOMES[Outcome(code)]
        return f"{words.sentence}{words.next_step}"
    values = {} if status is None else {"status": status}
    said = sentence(Finding(Step.SCORES, Verdict.FAILED, code, values), **known)
    return said if status is not None else _NO_STATUS.sub("", said)


def _hours(tallies: Sequence[tuple[datetime, str, int]], first: datetime) -> list[Hour]:
    sent, refused = [0] * HOURS, [0] * HOURS
    for bucket, outcome, count in tallies:
        # A clock that was ahead may have written into the next hour.
        number = min(int((bucket - first).total_seconds() // 3600), HOURS - 1)
        (sent if outcome == Outcome.SENT else refused)[number] += count
    return [Hour(first + timedelta(hours=i), sent[i], refused[i]) for i in range(HOURS)]


def _rate(tallies: Sequence[tuple[datetime, str, int]], now: datetime, span: timedelta) -> float:
    """Accepted scores per minute, over the windows of ten minutes that end within `span`: the present one,
    which is not over, counts as long as it has lasted."""
    begin = now - timedelta(seconds=now.timestamp() % _WINDOW.total_seconds()) - span
    sent = sum(count for bucket, outcome, count in tallies if outcome == Outcome.SENT and bucket >= begin)
    return sent / ((now - begin).total_seconds() / 60)


def _troubles(facts: QueueFacts) -> list[Trouble]:
    """Those that need somebody first, the many before the few."""
    found: list[Trouble] = []
    for piles in (facts.held, facts.unsent):
        tried = [(outcome, pile) for outcome, pile in piles.items() if outcome is not None]
        tried.sort(key=lambda pair: _most_first(*pair))
        found += [Trouble(OUTCOMES[outcome], pile.count) for outcome, pile in tried]
    return found


def _most_first(outcome: Outcome, pile: Pile) -> tuple[bool, int, str]:
    return outcome is Outcome.OVERRIDDEN, -pile.count, outcome


def _unreadable(registration_id: int) -> list[LostColumn]:
    query = (
        select(LineItem.label, Context.title, LineItem.reading_error)
        .join(Context, Context.id == LineItem.context_pk)
        .where(LineItem.registration_id == registration_id, LineItem.reading == ReadingState.FAILED)
        .order_by(LineItem.id)
        .limit(MOST_COLUMNS)
    )
    return [LostColumn(label, title, error or "") for label, title, error in db.session.execute(query)]
