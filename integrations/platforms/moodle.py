"""Moodle 4.5: measured against a live one (the captures in tests/contract/moodle) unless marked "src"."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import ClassVar

from integrations.http import HttpAnswer
from integrations.platforms.base import Platform, whole_points
from integrations.terms import GradingProgress, Outcome, Score, SentScore

_ONE_SECOND = timedelta(seconds=1)
# Site administration > Grades > "Grade point maximum": its default bounds a deep-linked column.
_MOST_POINTS = Decimal(100)


class Moodle(Platform):
    kind: ClassVar[str] = "moodle"
    title: ClassVar[str] = "Moodle"
    # 105 scores a second at four threads.
    max_parallel: ClassVar[int] = 4
    # A second column with the link's id makes `lineitem` vanish from the launch (capture 30).
    line_item_with_resource_link: ClassVar[bool] = False

    def known_endpoints(self, base: str) -> dict[str, str]:
        """The issuer is the site's wwwroot (openid-configuration.php)."""
        return {
            "issuer": base,
            "auth_url": f"{base}/mod/lti/auth.php",
            "token_url": f"{base}/mod/lti/token.php",
            "jwks_url": f"{base}/mod/lti/certs.php",
        }

    def may_send(self, score: Score, sent: SentScore | None) -> bool:
        """Only FullyGraded: any other progress erases an existing grade (capture 23)."""
        return score.grading_progress is GradingProgress.FULLY_GRADED

    def timestamp(self, sent: SentScore | None, now: datetime) -> datetime:
        """Moodle compares whole seconds with its own clock at the last score (captures 22 and 23)."""
        return now if sent is None else max(now, sent.timestamp + _ONE_SECOND)

    def by_status(self, answer: HttpAnswer) -> Outcome:
        """The reason phrase tells more, but HTTP/2 drops it; the service's own refusals have the body `[]`.

        400 `[]`: the person has no gradable role here. 500 `[]`: the gradebook refused, as it does for a
        locked column and for one that is no tool's. A 404 in HTML is an error page of the site, not an
        answer about the column, and may pass (captures 20b and 24).
        """
        refused = answer.body.strip() == b"[]"
        if answer.status == 400 and refused:
            return Outcome.NOT_GRADABLE
        if answer.status == 500 and refused:
            return Outcome.LOCKED
        if answer.status == 404 and answer.header("Content-Type").startswith("text/html"):
            return Outcome.RETRY
        return super().by_status(answer)

    def column_maximum(self, wanted: Decimal) -> Decimal:
        """An integer from 1 to 100: outside it a deep-linked column is refused, or made ungradable without
        a word (measured in deep linking)."""
        return min(whole_points(super().column_maximum(wanted)), _MOST_POINTS)
