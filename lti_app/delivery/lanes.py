"""Several calls of one turn in flight: lanes make them, the turn's own thread feeds and collects."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

from flask import Flask

from lti_app.delivery.crew import callers

J = TypeVar("J")
D = TypeVar("D")


class Lanes(Generic[J, D]):
    """Up to `width` calls of `call` at a time, in threads that have an application context.

    No further one begins once `halted` says so. What `call` raises is raised by `collect`. One thread feeds
    and collects; it must close the lanes, whatever happens.
    """

    def __init__(self, app: Flask, call: Callable[[J], D], width: int, halted: Callable[[], bool]) -> None:
        self._app, self._call, self._halted, self._width = app, call, halted, width
        self._waiting: SimpleQueue[J | None] = SimpleQueue()
        self._done: deque[D] = deque()
        self._attention = threading.Event()
        self._lock = threading.Lock()
        self._low = 0
        self._open = 0
        self._running = 0
        self._error: BaseException | None = None

    @property
    def waiting(self) -> int:
        """How many jobs no lane has taken up."""
        return self._waiting.qsize()

    @property
    def is_idle(self) -> bool:
        """Whether nothing was fed that is not done."""
        return self._open == 0

    def feed(self, jobs: Iterable[J], low: int) -> None:
        """Make these calls; `collect` returns early when no more than `low` jobs wait to be taken up."""
        self._low = low
        for job in jobs:
            with self._lock:
                self._open += 1
            self._waiting.put(job)
        while self._running < min(self._width, self._open):
            with self._lock:
                self._running += 1
            callers.run(self._lane)

    def collect(self, seconds: float) -> list[D]:
        """What was done since the last time: at once when jobs run low, all is done or the lanes are halted,
        else after `seconds`."""
        self._attention.wait(seconds)
        self._attention.clear()
        if self._error is not None:
            raise self._error
        done = []
        while self._done:
            done.append(self._done.popleft())
        return done

    def close(self) -> None:
        """Drop what no lane has taken up. Those at work finish their calls: `wait`, then `collect`."""
        with suppress(Empty):
            while True:
                self._waiting.get_nowait()
        for _ in range(self._width):
            self._waiting.put(None)

    def wait(self, seconds: float) -> bool:
        """Wait for the calls in flight of closed lanes; False after `seconds`."""
        if self._running:
            self._attention.wait(seconds)
            if self._running:
                self._attention.clear()
        return not self._running

    def _lane(self) -> None:
        try:
            with self._app.app_context():
                while not self._halted() and (job := self._waiting.get()) is not None:
                    if self._halted():
                        break
                    self._finish(self._call(job))
        except BaseException as error:
            self._error = error
        finally:
            with self._lock:
                self._running -= 1
            self._attention.set()

    def _finish(self, done: D) -> None:
        with self._lock:
            self._done.append(done)
            self._open -= 1
        if self._open == 0 or self._waiting.qsize() <= self._low:
            self._attention.set()
