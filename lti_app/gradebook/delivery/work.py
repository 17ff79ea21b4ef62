"""Sending due scores: read some, send them outside any transaction, write down what came of it.

A worker that dies between sending and writing leaves the rows as they were; the same values are sent again.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from flask import current_app

from integrations.platforms.registry import platform_for
from lti_app.clock import utc_now
from lti_app.delivery.lanes import Lanes
from lti_app.delivery.models import DeliverySlot
from lti_app.delivery.services import due_registrations, reading
from lti_app.delivery.turns import Turn
from lti_app.extensions import db, platform_services
from lti_app.gradebook.delivery import doubts
from lti_app.gradebook.delivery.bookkeeping import write_outcomes
from lti_app.gradebook.delivery.jobs import BATCH, Done, Job, due_scores
from lti_app.gradebook.delivery.sending import Sender
from lti_app.gradebook.models import Score
from lti_app.registrations.models import Registration, RegistrationStatus
from lti_app.registrations.services import service_access

# A write costs the same for one score as for fifty: at two calls of 100 ms at a time, writing every second
# was a quarter of the CPU of a score.
WRITE_SECONDS = 2.5
# A lease lives longer, but not much longer than several slow answers in a row.
RENEW_SECONDS = 20.0
# The next batch is read while each lane has so many scores before it.
LOW_PER_LANE = 4


class ScoreDelivery:
    """The work of the delivery worker that tells platforms the scores."""

    name = "scores"

    def due(self, now: datetime) -> Sequence[int]:
        """Active registrations with a due score that may be called and that nobody serves now."""
        return due_registrations(Score.registration_id, Score.due_at, now)

    def serve(self, turn: Turn) -> int:
        """Send what is due until nothing is left, the turn is over, or the platform wants no more."""
        sender = _sender(turn.registration_id)
        return 0 if sender is None else _Delivery(turn, sender).run()


deliver = ScoreDelivery()


def _sender(registration_id: int) -> Sender | None:
    """What sends to this platform, or None when it was switched off meanwhile."""
    with reading():
        registration = db.session.get_one(Registration, registration_id)
        if registration.status is not RegistrationStatus.ACTIVE:
            return None
        slot = db.session.get(DeliverySlot, registration_id)
        ahead = slot.clock_ahead / 1000 if slot else 0.0
        return Sender(
            platform_services().ags,
            service_access(registration),
            platform_for(registration.kind),
            ahead=ahead,
            ahead_written=ahead,
            proven=slot is None or slot.failures == 0,
        )


@dataclass(slots=True)
class _Delivery:
    """One turn. This thread reads and writes; lanes call the platform meanwhile."""

    turn: Turn
    sender: Sender
    held: bool = True
    total: int = 0
    _in_hand: set[int] = field(default_factory=set)
    """Scores that are read and not written down yet."""
    _in_doubt: set[int] = field(default_factory=set)
    """Scores that this turn put in doubt."""
    _unwritten: list[Done] = field(default_factory=list)
    _written: float = field(default_factory=time.monotonic)

    def run(self) -> int:
        """Returns how many scores were handled."""
        jobs = self._read()
        if len(jobs) == 1 or not self.sender.proven:
            jobs = self._send_alone(jobs)
        if jobs and not self._is_over():
            self._send_side_by_side(jobs)
        self._write(final=True)
        if self.held:
            # What was read and not sent. (After a lost lease somebody else may be sending it.)
            doubts.end(self._in_doubt & self._in_hand)
            db.session.commit()
        return self.total

    def _is_over(self) -> bool:
        return not self.held or self.sender.is_halted or self.turn.is_over()

    def _read(self) -> list[Job]:
        jobs = due_scores(self.turn.registration_id, utc_now(), without=self._in_hand)
        self._in_hand.update(job.id for job in jobs)
        self._in_doubt |= doubts.begin(self.sender, jobs)
        return jobs

    def _send_alone(self, jobs: list[Job]) -> list[Job]:
        """One call after the other until the platform has answered well; returns the rest."""
        for number, job in enumerate(jobs):
            if self._is_over() or (number and self.sender.proven):
                return jobs[number:]
            self._take([self.sender.send(job)])
            self._write_in_time()
        return []

    def _send_side_by_side(self, jobs: list[Job]) -> None:
        width = self.sender.platform.max_parallel
        app = current_app._get_current_object()  # type: ignore[attr-defined]
        lanes = Lanes(app, self.sender.send, width, self._is_over)
        try:
            self._feed(lanes, jobs, LOW_PER_LANE * width)
            lanes.close()
            while not lanes.wait(WRITE_SECONDS):
                self._take(lanes.collect(0.0))
                self._write_in_time()
            self._take(lanes.collect(0.0))
        finally:
            # Whatever happened, no call may be in flight when the lease is given back.
            lanes.close()
            while not lanes.wait(RENEW_SECONDS):
                pass

    def _feed(self, lanes: Lanes[Job, Done], jobs: list[Job], low: int) -> None:
        while jobs or not lanes.is_idle:
            is_full = len(jobs) == BATCH
            lanes.feed(jobs, low if is_full else -1)
            jobs = []
            while not self._is_over() and not lanes.is_idle:
                self._take(lanes.collect(WRITE_SECONDS))
                self._write_in_time()
                if is_full and lanes.waiting <= low:
                    break
            if self._is_over():
                return
            self._write()
            jobs = self._read()

    def _take(self, done: Iterable[Done]) -> None:
        self._unwritten += done

    def _write_in_time(self) -> None:
        """Write every few seconds; when no answer comes, keep the lease."""
        waited = time.monotonic() - self._written
        if (self._unwritten and waited >= WRITE_SECONDS) or waited >= RENEW_SECONDS:
            self._write()

    def _write(self, final: bool = False) -> None:
        if not self._unwritten and not final and time.monotonic() - self._written < RENEW_SECONDS:
            return
        done, self._unwritten = self._unwritten, []
        self.held = write_outcomes(self.turn, self.sender, done, final=final) and self.held
        self.total += len(done)
        self._in_hand.difference_update(one.job.id for one in done)
        self._written = time.monotonic()
