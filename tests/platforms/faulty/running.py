"""The faulty platform as a process of a test, and the hand that works its switches."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from tests.platforms.process import free_port, python, serving


@dataclass(frozen=True)
class Faulty:
    """A running platform at `url`; each school is at `<url>/s/<name>`."""

    url: str
    pid: int

    def school(self, name: str, **wanted: Any) -> str:
        """Make a school (again: with an empty gradebook); returns its address."""
        self._ask("PUT", name, wanted)
        return f"{self.url}/s/{name}"

    def change(self, name: str, **wanted: Any) -> None:
        """Work a school's switches: `kind`, `client_id`, `latency`, `expires_in`, `clock_ahead` (seconds),
        `page_size`, `jwks` (then assertions are verified), `revoke=True`, `faults` (names of
        faults.NAMED or dicts; replaces those left), `swallowing` and `deleted` (names of columns), `teacher`
        ([user, points or None, column] each), `frees` ([user, column] each), `grades` (as `teacher`, but as
        if they had always been there)."""
        self._ask("POST", name, wanted)

    def state(self, name: str) -> dict[str, Any]:
        """The ledger (see School.state)."""
        return self._ask("GET", name, {})

    def quiet(self, name: str, seconds: float = 30) -> dict[str, Any]:
        """The ledger once no call is in the school's hands any more."""
        until = time.monotonic() + seconds
        while (state := self.state(name))["in_flight"] and time.monotonic() < until:
            time.sleep(0.05)
        return state

    def grades(self, name: str) -> dict[tuple[str, str], float]:
        """What the gradebook shows: (column, user) to points."""
        return {(column, user): points for column, user, points in self.state(name)["grades"]}

    def _ask(self, method: str, name: str, wanted: dict[str, Any]) -> dict[str, Any]:
        answer = requests.request(method, f"{self.url}/control/{name}", json=wanted, timeout=30)
        answer.raise_for_status()
        return dict(answer.json())


@contextlib.contextmanager
def running_faulty(directory: Path) -> Iterator[Faulty]:
    """Start the platform, its log in `directory`, until the block ends."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    argv = python("-m", "tests.platforms.faulty", "--port", str(port))
    with serving(argv, f"{url}/control/", log=directory / "faulty.log") as process:
        yield Faulty(url, process.pid)
