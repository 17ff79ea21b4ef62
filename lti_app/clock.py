"""The one place that asks what time it is."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo


def utc_now() -> datetime:
    """Now, aware, in UTC. Tests travel in time with time-machine, never by patching this."""
    return datetime.now(UTC)


def local_day(moment: datetime, time_zone: str) -> date:
    """The calendar day of `moment` in a school's time zone (an IANA name)."""
    return moment.astimezone(ZoneInfo(time_zone)).date()
