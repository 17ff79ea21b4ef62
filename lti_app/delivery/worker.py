"""The worker: takes registrations in turn and lets works (such as sending scores) serve them.

Everything it knows is in the database, so any number of workers may run, and one that dies loses nothing.
"""

from __future__ import annotations

import atexit
import os
import secrets
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import structlog
from flask import Flask
from flask.helpers import get_debug_flag
from werkzeug.serving import is_running_from_reloader

from lti_app.clock import utc_now
from lti_app.delivery.services import reading, record_failure, release_slot, renew_slot, take_slot
from lti_app.extensions import db, start_as_reader

LEASE_SECONDS = 90.0
TURN_SECONDS = 5.0
LOOK_SECONDS = 1.0
TROUBLE_SECONDS = 5.0

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

    def due(self, now: datetime) -> Sequence[int]:
        """The ids of the registrations to serve now, the longest waiting first. Only reads."""

    def serve(self, turn: Turn) -> int:
        """Do what is due until nothing is left or the turn is over; returns how many things were done.

        Commits by itself, and holds no transaction while it talks to the platform.
        """


def run_once(app: Flask, works: Sequence[Work], *, stopping: Callable[[], bool] = lambda: False) -> int:
    """Serve each registration that has something due one turn; returns how many things were done."""
    holder = secrets.token_hex(8)
    done = 0
    for work in works:
        for registration_id in _due(app, work):
            if stopping():
                return done
            done += _serve(app, work, Turn(registration_id, holder, 0.0, stopping))
    return done


def drain(app: Flask, works: Sequence[Work]) -> int:
    """Serve turns until nothing is due that can be done now; returns how many things were done."""
    total = 0
    while done := run_once(app, works):
        total += done
    return total


def _due(app: Flask, work: Work) -> Sequence[int]:
    with app.app_context(), reading():
        return work.due(utc_now())


def _serve(app: Flask, work: Work, turn: Turn) -> int:
    """One turn; whatever goes wrong in it is logged and delays this registration only."""
    start_as_reader(False)
    with app.app_context():
        taken = take_slot(turn.registration_id, turn.holder, utc_now(), LEASE_SECONDS)
        db.session.commit()
        if not taken:
            return 0
        turn.ends = time.monotonic() + TURN_SECONDS
        try:
            return work.serve(turn)
        except Exception as error:
            _log_error(error, registration=turn.registration_id)
            db.session.rollback()
            record_failure(turn.registration_id, "internal-error", utc_now())
            db.session.commit()
            return 0
        finally:
            db.session.rollback()
            release_slot(turn.registration_id, turn.holder)
            db.session.commit()


class EmbeddedWorker:
    """Daemon threads inside a web process. Start it in the process that serves, after any fork."""

    def __init__(self, app: Flask, works: Sequence[Work], *, threads: int = 2) -> None:
        self._app = app
        self._works = works
        self._wakes = [threading.Event() for _ in range(threads)]
        self._threads: list[threading.Thread] = []
        self._stopping = threading.Event()

    def start(self) -> None:
        """Start the threads; once, and not in the parent process of werkzeug's reloader."""
        if self._threads or _is_reloader_parent():
            return
        self._stopping.clear()
        for number, wake in enumerate(self._wakes):
            thread = threading.Thread(target=self._run, args=(wake,), name=f"delivery-{number}", daemon=True)
            self._threads.append(thread)
            thread.start()
        atexit.register(self.stop)

    def wake(self) -> None:
        """Look for work at once."""
        for wake in self._wakes:
            wake.set()

    def stop(self, timeout: float = 10.0) -> None:
        """Finish the calls in flight, write down their outcomes, give leases back; at most `timeout` s.

        What does not end in time is a daemon: the process may exit, and its lease runs out.
        """
        atexit.unregister(self.stop)
        self._stopping.set()
        self.wake()
        until = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(until - time.monotonic(), 0.0))
        self._threads = []

    def _run(self, wake: threading.Event) -> None:
        while not self._stopping.is_set():
            wake.clear()
            pause = LOOK_SECONDS
            try:
                if run_once(self._app, self._works, stopping=self._stopping.is_set):
                    continue
            except Exception as error:
                _log_error(error)
                pause = TROUBLE_SECONDS
            wake.wait(pause)


def _is_reloader_parent() -> bool:
    """Whether a debug server runs here that only starts the real one (a `flask` command is none)."""
    command = os.environ.get("FLASK_RUN_FROM_CLI") == "true"
    return get_debug_flag() and not is_running_from_reloader() and not command


def _log_error(error: Exception, **facts: object) -> None:
    """The kind of the error and the places it went through. Not its text: a database error's text holds
    the values of the row."""
    places = [f"{frame.name}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)[-6:]]
    # A log that cannot be written must not end the worker either.
    with suppress(Exception):
        log.error("delivery failed", error=type(error).__name__, places=places, **facts)
