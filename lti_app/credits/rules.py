"""What a happening is worth: integers in hundredths, no database, no clock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta


@dataclass(frozen=True, slots=True)
class Rule:
    """`rate` is hundredths of a credit for one whole unit; a cap of None is no cap."""

    rate: int
    cap_day: int | None = None
    cap_week: int | None = None
    cap_term: int | None = None

    @property
    def has_caps(self) -> bool:
        return (self.cap_day, self.cap_week, self.cap_term) != (None, None, None)


@dataclass(frozen=True, slots=True)
class Booked:
    """What stands in the ledger: `own` for the source itself, the rest for the other sources of its kind
    whose day falls in the same day, week and term."""

    own: int = 0
    day: int = 0
    week: int = 0
    term: int = 0


def worth(quantity: int, rule: Rule, booked: Booked) -> int:
    """Hundredths of a credit that `quantity` hundredths of a unit should have now; never negative.

    Caps limit what is added. They never take back what the source already has: only a smaller quantity does.
    """
    full = (quantity * rule.rate + 50) // 100  # half of a hundredth is rounded up
    return min(full, max(_room(rule, booked), booked.own)) if rule.has_caps else full


def week_of(day: date) -> tuple[date, date]:
    """The Monday and the Sunday of the week of `day`."""
    monday = day - timedelta(days=day.weekday())
    return monday, monday + timedelta(days=6)


def _room(rule: Rule, booked: Booked) -> int:
    caps = ((rule.cap_day, booked.day), (rule.cap_week, booked.week), (rule.cap_term, booked.term))
    return min(cap - used for cap, used in caps if cap is not None)
