"""What both sides of the roster measurement read, and how they report."""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import dataclass, field

from tests.load.members import address
from tests.load.processes import forget_peak, memory_mb, peak_memory_mb


@dataclass(frozen=True, slots=True)
class Task:
    """A class of `members` people to read from the platform, `way` as in `members.WAYS`."""

    way: str
    name: str
    members: int
    platform: str

    @property
    def url(self) -> str:
        return self.platform + address(self.way, self.name, self.members)


def _idle_mb() -> float:
    forget_peak()
    return memory_mb(os.getpid())


@dataclass(frozen=True, slots=True)
class Stopwatch:
    """Starts when it is made, in a process that is ready and has not yet read anything."""

    idle_mb: float = field(default_factory=_idle_mb)
    cpu: float = field(default_factory=time.process_time)
    started: float = field(default_factory=time.monotonic)

    def lap(self, members: int) -> dict[str, float]:
        """How many members a second since then, their CPU here, and by how much memory grew at most."""
        seconds = time.monotonic() - self.started
        return {
            "members": members,
            "per_second": members / seconds,
            "cpu_ms": 1000 * (time.process_time() - self.cpu) / max(members, 1),
            "growth_mb": max(peak_memory_mb(os.getpid()) - self.idle_mb, 0.0),
        }


def print_laps(**laps: dict[str, float]) -> None:
    print(json.dumps(laps))


def task_from_command_line() -> Task:
    parser = argparse.ArgumentParser()
    for name in ("--way", "--name", "--platform"):
        parser.add_argument(name, required=True)
    parser.add_argument("--members", type=int, required=True)
    chosen = parser.parse_args()
    return Task(chosen.way, chosen.name, chosen.members, chosen.platform)
