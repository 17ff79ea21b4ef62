"""Turns: a registration in the hands of one worker for a few seconds, and whose turn is next.

Everything a worker must know is in the database, so any number of them may run, and one that dies loses
nothing.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

import structlog
from flask import Flask
from sqlalchemy import select

from lti_app.clock import utc_now
from lti_app.delivery.models import DeliverySlot
from lti_app.delivery.services import reading, record_failure, release_slot, renew_slot, take_slot
from lti_app.extensions import db, start_as_reader
from lti_app.logs import places

LEASE_SECONDS = 90.0
TURN_SECONDS = 5.0

log = structlog.get_logger()


@dataclass(slots=True)
class Turn:
    """One registration in the hands of one worker, for a few seconds."""

    registration_id: int
    holder: str
    ends: float
    stopping: Callable[[], bool]

    def is_over(self) -> bool:
        """Whether to write down what was done and give the registration back."""
        return self.stopping() or time.monotonic() >= self.ends

    def renew(self, now: datetime) -> bool:
        """Lengthen the lease within the current transaction; False when it was lost."""
        return renew_slot(self.registration_id, self.holder, now, LEASE_SECONDS)


class Work(Protocol):
    """Something to do for registrations. Both functions run in an application context of their own."""

    name: str

    def due(self, now: datetime) -> Sequence[int]:
        """The ids of the registrations to serve now, the longest waiting first. Only reads."""

    def serve(self, turn: Turn) -> int:
        """Do what is due until nothing is left or the turn is over; returns how many things were done.

        Commits by itself, and holds no transaction while it talks to the platform.
        """


@dataclass(frozen=True, slots=True)
class Served:
    """How a turn went. `more`: something was done, so more may be due now, of this work or another."""

    done: int
    more: bool


@dataclass(frozen=True, slots=True)
class DueTurn:
    """`troubled`: the platform failed last time."""

    work: str
    registration_id: int
    troubled: bool


@dataclass(slots=True)
class Rota:
    """Who had the last turn, as far as this process handed them out: the longest ago comes first, so that
    neither a long queue nor a slow platform comes before others again and again."""

    _number: int = 0
    _last: dict[int, tuple[int, str]] = field(default_factory=dict)

    def note(self, turn: DueTurn) -> None:
        self._number += 1
        self._last[turn.registration_id] = (self._number, turn.work)

    def number(self, registration_id: int) -> int:
        return self._last.get(registration_id, (0, ""))[0]

    def next_work(self, registration_id: int, due: Sequence[str], order: Sequence[str]) -> str:
        """Of the works that are `due` the first one behind the last that was done, in a circle."""
        last = self._last.get(registration_id, (0, ""))[1]
        start = order.index(last) + 1 if last in order else 0
        return min(due, key=lambda name: (order.index(name) - start) % len(order))


def rota_of(app: Flask) -> Rota:
    """The application's rota."""
    rota: Rota = app.extensions.setdefault("delivery_rota", Rota())
    return rota


def find_turns(app: Flask, works: Sequence[Work]) -> list[DueTurn]:
    """The turns that may begin now, most urgent first, each registration at most once, those in trouble last.
    Whether they were offered to somebody else does not matter here.

    One cheap query for each work and one for the troubled.
    """
    due: dict[int, list[str]] = {}
    with app.app_context(), reading():
        now = utc_now()
        for work in works:
            for registration_id in work.due(now):
                due.setdefault(registration_id, []).append(work.name)
        failing = select(DeliverySlot.registration_id).where(DeliverySlot.failures > 0)
        troubled = set(db.session.scalars(failing)) if due else set()
    rota, order = rota_of(app), [work.name for work in works]
    turns = [DueTurn(rota.next_work(one, names, order), one, one in troubled) for one, names in due.items()]
    return sorted(turns, key=lambda turn: (turn.troubled, rota.number(turn.registration_id)))


def serve_turn(app: Flask, work: Work, registration_id: int, *, stopping: Callable[[], bool]) -> Served:
    """Take the registration, serve it one turn and give it back; nothing is done when somebody has it.

    Whatever goes wrong in it is logged and delays this registration only. Raises SQLAlchemy's errors when
    the database itself is away: then the lease runs out by itself.
    """
    turn = Turn(registration_id, secrets.token_hex(8), 0.0, stopping)
    start_as_reader(False)
    with app.app_context():
        taken = take_slot(registration_id, turn.holder, utc_now(), LEASE_SECONDS)
        db.session.commit()
        if not taken:
            return Served(0, False)
        turn.ends = time.monotonic() + TURN_SECONDS
        try:
            done = work.serve(turn)
            return Served(done, done > 0)
        except Exception as error:
            log_error(error, registration=registration_id)
            db.session.rollback()
            record_failure(registration_id, "internal-error", utc_now())
            db.session.commit()
            return Served(0, False)
        finally:
            db.session.rollback()
            release_slot(registration_id, turn.holder)
            db.session.commit()


def log_error(error: Exception, **facts: object) -> None:
    """The kind of the error and the places it went through. Not its text: a database error's text holds
    the values of the row."""
    # A log that cannot be written must not end the worker either.
    with suppress(Exception):
        log.error("delivery failed", error=type(error).__name__, places=places(error.__traceback__), **facts)
