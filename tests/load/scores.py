"""The scores of the delivery measurement, and how its two sides report."""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from integrations.platforms.registry import platform_for
from integrations.terms import ActivityProgress, GradingProgress, Score

LINE_ITEM = "/ags/delivery/lineitems/1/lineitem"


@dataclass(frozen=True, slots=True)
class Task:
    """`scores` scores to deliver to the platform; `turn` gives them a value of their own each time."""

    scores: int
    turn: int
    platform: str

    @property
    def given(self) -> int:
        """Hundredths of a percent."""
        return 5000 + self.turn

    @property
    def line_item_url(self) -> str:
        return self.platform + LINE_ITEM

    def bodies(self) -> list[dict[str, Any]]:
        """What the product posts for these scores, as the standard's JSON."""
        now = datetime.now(UTC)
        return [
            platform_for("generic").score_body(self._score(n, now), sent=None, now=now)
            for n in range(self.scores)
        ]

    def _score(self, number: int, now: datetime) -> Score:
        return Score(
            user_id=subject(number),
            given=Decimal(self.given) / 100,
            maximum=Decimal(100),
            activity_progress=ActivityProgress.COMPLETED,
            grading_progress=GradingProgress.FULLY_GRADED,
            submitted_at=now,
            comment=None,
        )


@dataclass(frozen=True, slots=True)
class Stopwatch:
    """Starts when it is made."""

    started: float = field(default_factory=time.monotonic)
    cpu: float = field(default_factory=time.process_time)

    def print_result(self, delivered: int) -> None:
        """One JSON object: how many in how many seconds, and the CPU of this process for each."""
        seconds = time.monotonic() - self.started
        cpu_ms = 1000 * (time.process_time() - self.cpu) / max(delivered, 1)
        print(
            json.dumps(
                {
                    "delivered": delivered,
                    "seconds": seconds,
                    "per_second": delivered / seconds,
                    "cpu_ms": cpu_ms,
                }
            )
        )


def subject(number: int) -> str:
    """The `sub` of the person who gets score `number`."""
    return f"scored-{number}"


def task_from_command_line() -> Task:
    parser = argparse.ArgumentParser()
    parser.add_argument("--scores", type=int, required=True)
    parser.add_argument("--turn", type=int, required=True)
    parser.add_argument("--platform", required=True)
    chosen = parser.parse_args()
    return Task(chosen.scores, chosen.turn, chosen.platform)
