"""Whether a gradebook shows a teacher's own grade where ours was sent."""

from __future__ import annotations

from decimal import Decimal

from integrations.platforms.base import Platform
from integrations.terms import Result, SentScore
from lti_app.gradebook.columns.compare import Finding, Habits, Shown, Told, compare
from lti_app.gradebook.models import Difference


def difference_by_teacher(
    sent: SentScore,
    maximum: Decimal,
    seen: Result,
    platform: Platform,
    *,
    late: bool = False,
    maximum_before: Decimal | None = None,
) -> Difference | None:
    """CHANGED or CLEARED, or None: what is shown is what was sent, or what the LMS itself made of it.

    `late` and `maximum_before` are those of `compare`.
    """
    if seen.score is None:
        return Difference.CLEARED
    whole = seen.maximum or maximum
    if whole <= 0:
        return None
    finding, difference = compare(
        Told(sent.given, maximum, late),
        Shown(seen.score, whole),
        Habits(platform.result_decimals, platform.scales_scores),
        maximum_before=maximum_before,
    )
    return difference if finding is Finding.CHANGED else None
