"""Threads that are made when they are needed, and kept."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from queue import SimpleQueue

Task = Callable[[], None]


class Crew:
    """Runs tasks on daemon threads; a process may end without waiting for them. Tasks must not raise.

    A new thread is made only when none is idle. After a fork the child makes its own.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._tasks: SimpleQueue[Task | None] = SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._threads: list[threading.Thread] = []

    def run(self, task: Task) -> None:
        """Run it soon, on a thread of its own."""
        with self._lock:
            if self._process != os.getpid():
                self._begin()
            self._tasks.put(task)
            if not self._idle.acquire(blocking=False):
                name = f"{self._name}-{len(self._threads)}"
                thread = threading.Thread(target=self._work, name=name, daemon=True)
                self._threads.append(thread)
                thread.start()

    def end(self) -> list[threading.Thread]:
        """Let each thread end after what it does now; returns them, for who wants to wait."""
        with self._lock:
            threads = self._threads
            for _ in threads:
                self._tasks.put(None)
            self._begin()
        return threads

    def _work(self) -> None:
        tasks, idle = self._tasks, self._idle
        while (task := tasks.get()) is not None:
            task()
            del task  # what it holds is free while the thread waits
            idle.release()


callers = Crew("caller")
"""Those that talk to platforms while a turn's own thread keeps the books."""
