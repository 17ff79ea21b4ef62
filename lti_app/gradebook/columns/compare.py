"""What the LMS shows against what it was told: pure arithmetic, and who must have made a difference."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from lti_app.gradebook.models import Difference

VISIBLE = Decimal("0.01")
"""In points of the LMS: a smaller difference is nobody's."""
_OUR_STEP = Decimal("0.0001")
"""The finest part of a whole grade that we can say."""


class Finding(StrEnum):
    """What a comparison says. AGREES covers everything that the LMS itself did to what it was told."""

    AGREES = "agrees"
    RESCALED = "rescaled"
    """The column has another maximum and kept the points: nobody meant this grade."""
    CHANGED = "changed"
    """Somebody gave another grade."""


@dataclass(frozen=True, slots=True)
class Told:
    """What the LMS accepted last for a cell: `given` of `maximum`, in one unit. `late`: the work was handed in
    after the column's end."""

    given: Decimal
    maximum: Decimal
    late: bool = False

    @property
    def share(self) -> Decimal:
        return self.given / self.maximum


@dataclass(frozen=True, slots=True)
class Shown:
    """The points that the LMS shows, and out of how many (above zero)."""

    points: Decimal
    maximum: Decimal


@dataclass(frozen=True, slots=True)
class Habits:
    """What is known of an LMS: see `Platform.result_decimals` and `Platform.scales_scores`."""

    decimals: int | None = None
    scales: bool = False


def compare(
    told: Told, shown: Shown, habits: Habits, *, maximum_before: Decimal | None = None
) -> tuple[Finding, Difference | None]:
    """Whether the LMS shows what it was told, and what it made of it.

    `maximum_before` is the column's maximum when it was looked at last. The difference is one of ROUNDED,
    CAPPED, LATE (with AGREES), CHANGED or None.
    """
    expected = told.share * shown.maximum
    if agrees(expected, shown, habits):
        visible = abs(shown.points - expected) >= VISIBLE
        return Finding.AGREES, Difference.ROUNDED if visible else None
    if maximum_before is not None and abs(maximum_before - shown.maximum) >= VISIBLE:
        before = told.share * maximum_before
        if any(agrees(kept, shown, habits) for kept in (before, min(before, shown.maximum))):
            return Finding.RESCALED, None
    if not habits.scales and shown.points == shown.maximum < told.given:
        return Finding.AGREES, Difference.CAPPED
    if told.late and shown.points < expected:
        return Finding.AGREES, Difference.LATE
    return Finding.CHANGED, Difference.CHANGED


def agrees(expected: Decimal, shown: Shown, habits: Habits) -> bool:
    """Whether rounding explains the difference between these points and those shown."""
    decimals = habits.decimals if habits.decimals is not None else _decimals(shown.points)
    step = max(Decimal(1).scaleb(-decimals), shown.maximum * _OUR_STEP)
    return abs(shown.points - expected) <= step / 2 + Decimal("1e-9")


def _decimals(points: Decimal) -> int:
    """How many decimals a number is written with, at most 5 and without what is a computer's noise."""
    tidy = points.quantize(Decimal("1e-5")).normalize()
    exponent = tidy.as_tuple().exponent
    return max(-int(exponent), 0)
