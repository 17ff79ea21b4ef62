"""The worker of one process: hands out turns to its threads."""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections.abc import Callable, Sequence

from flask import Flask
from flask.helpers import get_debug_flag
from werkzeug.serving import is_running_from_reloader

from lti_app.clock import utc_now
from lti_app.delivery.crew import Crew
from lti_app.delivery.offers import offer
from lti_app.delivery.services import reading
from lti_app.delivery.turns import Work, log_error, serve_turn

LOOK_SECONDS = 1.0
SHORTEST_LOOK = 0.02
TROUBLE_SECONDS = 5.0


def run_once(app: Flask, works: Sequence[Work], *, stopping: Callable[[], bool] = lambda: False) -> int:
    """Serve each registration that has something due one turn; returns how many things were done."""
    done = 0
    for work in works:
        with app.app_context(), reading():
            due = work.due(utc_now())
        for registration_id in due:
            if stopping():
                return done
            done += serve_turn(app, work, registration_id, stopping=stopping).done
    return done


def drain(app: Flask, works: Sequence[Work]) -> int:
    """Serve turns until nothing is due that can be done now; returns how many things were done."""
    total = 0
    while done := run_once(app, works):
        total += done
    return total


class EmbeddedWorker:
    """Serves up to `threads` registrations side by side within this process. Start it in the process that
    serves, after any fork.

    One thread looks for due turns, every second and whenever it is woken or a turn ends, and hands them to
    the others. At most half of them are in the hands of platforms in trouble.
    """

    def __init__(self, app: Flask, works: Sequence[Work], *, threads: int = 2) -> None:
        self._app = app
        self._works = {work.name: work for work in works}
        self._most = threads
        self._crew = Crew("delivery")
        self._look = threading.Event()
        self._dispatcher: threading.Thread | None = None
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._running = 0
        self._rest_until = 0.0

    def start(self) -> None:
        """Start looking; once, and not in the parent process of werkzeug's reloader."""
        if self._dispatcher is not None or _is_reloader_parent():
            return
        self._stopping.clear()
        self._dispatcher = threading.Thread(target=self._dispatch, name="delivery-dispatcher", daemon=True)
        self._dispatcher.start()
        atexit.register(self.stop)

    def wake(self) -> None:
        """Look for work at once."""
        self._look.set()

    def stop(self, timeout: float = 10.0) -> None:
        """Finish the calls in flight, write down their outcomes, give leases back; at most `timeout` s.

        What does not end in time is a daemon: the process may exit, and its lease runs out.
        """
        atexit.unregister(self.stop)
        if self._dispatcher is None:
            return
        self._stopping.set()
        self.wake()
        until = time.monotonic() + timeout
        self._dispatcher.join(timeout)
        self._dispatcher = None
        for thread in self._crew.end():
            thread.join(max(until - time.monotonic(), 0.0))

    def _dispatch(self) -> None:
        while not self._stopping.is_set():
            self._look.clear()
            pause = LOOK_SECONDS
            try:
                self._hand_out()
                pause = max(self._rest_until - time.monotonic(), LOOK_SECONDS)
                # Turns that end together are one look.
                self._stopping.wait(SHORTEST_LOOK)
            except Exception as error:
                log_error(error)
                self._stopping.wait(SHORTEST_LOOK)
                pause = TROUBLE_SECONDS
            self._look.wait(pause)

    def _hand_out(self) -> None:
        free = self._most - self._running
        if free <= 0:
            return
        works = list(self._works.values())
        troubled = max(self._most // 2, 1)
        for name, registration_id in offer(self._app, works, limit=free, in_trouble=troubled):
            with self._lock:
                self._running += 1
            self._crew.run(lambda name=name, one=registration_id: self._serve(name, one))  # type: ignore[misc]

    def _serve(self, name: str, registration_id: int) -> None:
        more = False
        try:
            more = serve_turn(
                self._app, self._works[name], registration_id, stopping=self._stopping.is_set
            ).more
        except Exception as error:
            log_error(error, registration=registration_id)
            self._rest_until = time.monotonic() + TROUBLE_SECONDS
        finally:
            with self._lock:
                was_full = self._running >= self._most
                self._running -= 1
        if more or was_full:
            self.wake()


def _is_reloader_parent() -> bool:
    """Whether a debug server runs here that only starts the real one (a `flask` command is none)."""
    command = os.environ.get("FLASK_RUN_FROM_CLI") == "true"
    return get_debug_flag() and not is_running_from_reloader() and not command
