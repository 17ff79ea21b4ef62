"""What happens to a score after each outcome: the table of docs/decisions/0003-delivery.md as data."""

from __future__ import annotations

import random
from dataclasses import dataclass

from integrations.terms import Outcome
from lti_app.gradebook.models import ScoreState

MINUTE = 60.0
HOUR = 60 * MINUTE
DAY = 24 * HOUR


@dataclass(frozen=True, slots=True)
class Step:
    """`first` and `longest` are the waits in seconds before the next try (doubled each time, with jitter);
    no `first`: not by itself. What may succeed later is never given up by counting.
    `whole_column`: the answer says something about the column, so nobody else in it is tried."""

    state: ScoreState
    first: float | None = None
    longest: float = DAY
    whole_column: bool = False


_DAILY = Step(ScoreState.HELD, first=DAY, longest=DAY)

STEPS = {
    Outcome.SENT: Step(ScoreState.SENT),
    Outcome.RETRY: Step(ScoreState.WAITING, first=5.0, longest=HOUR),
    Outcome.FRESH_TIMESTAMP: Step(ScoreState.WAITING, first=MINUTE, longest=6 * HOUR),
    Outcome.WAITING_FOR_PUBLISH: Step(ScoreState.WAITING, first=30 * MINUTE, whole_column=True),
    Outcome.REAUTHENTICATE: Step(ScoreState.WAITING, first=MINUTE, longest=HOUR, whole_column=True),
    Outcome.NOT_GRADABLE: _DAILY,
    Outcome.LOCKED: _DAILY,
    Outcome.MISCONFIGURED: _DAILY,
    Outcome.OVERRIDDEN: Step(ScoreState.HELD),
    Outcome.CONTEXT_CLOSED: Step(ScoreState.HELD, whole_column=True),
    Outcome.COLUMN_GONE: Step(ScoreState.HELD, whole_column=True),
    Outcome.SWALLOWED: Step(ScoreState.HELD, first=DAY, longest=DAY, whole_column=True),
}


def wait_after(outcome: Outcome, attempts: int, retry_after: float | None = None) -> float | None:
    """Seconds until the next try after `attempts` (≥ 1) unsuccessful ones; None: not by itself.

    What the platform asked for (`retry_after`) is never undercut.
    """
    step = STEPS[outcome]
    if step.first is None:
        return None
    wait = min(step.first * 2.0 ** min(attempts - 1, 20), step.longest) * random.uniform(1, 1.5)
    return max(wait, (retry_after or 0) * random.uniform(1, 1.1))
