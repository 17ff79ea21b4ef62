"""Moodle 4.5: measured against a live one (the captures in tests/contract/moodle) unless marked "src"."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import ClassVar

from integrations.http import HttpAnswer
from integrations.platforms.base import Platform, whole_points
from integrations.terms import (
    AccountFormat,
    ContentHint,
    ContentItem,
    ContentRules,
    DeepLinkingSettings,
    GradingProgress,
    Outcome,
    Period,
    Score,
    SentScore,
)

_ONE_SECOND = timedelta(seconds=1)
# Site administration > Grades > "Grade point maximum": its default bounds a deep-linked column.
_MOST_POINTS = Decimal(100)
_NOT_IN_A_KEY = re.compile(r"[^a-z0-9]")


class Moodle(Platform):
    kind: ClassVar[str] = "moodle"
    title: ClassVar[str] = "Moodle"
    # 105 scores a second at four threads.
    max_parallel: ClassVar[int] = 4
    # `limit` is honoured, with a right `next` link (capture 25); without it all come in one answer.
    roster_page_size: ClassVar[int] = 200
    # Capture 23: 17.1234567 is kept as 17.12346, 75 of 100 becomes 15 of 20, and an overridden grade stays.
    # `limit` gives an error page here, with the type_id that its addresses have (capture 24).
    result_decimals: ClassVar[int | None] = 5
    scales_scores: ClassVar[bool] = True
    keeps_teacher_grades: ClassVar[bool] = True
    # A second column with the link's id makes `lineitem` vanish from the launch (capture 30).
    line_item_with_resource_link: ClassVar[bool] = False
    # Site administration > Users > Upload users (docs.moodle.org/405/en/Upload_users).
    account_format: ClassVar[AccountFormat | None] = AccountFormat.USER_UPLOAD

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

    # Site administration > Plugins > External tool > Manage tools > the tool's edit form: "Services" and
    # "Privacy" (captures 16).
    admin_place: ClassVar[str] = "external-tool-form"

    def explain_token_failure(self, answer: HttpAnswer) -> str | None:
        """It fetches our key set within the token request; when its own block list for cURL (private
        addresses, ports other than 80 and 443) forbids that, it answers with an error page (capture 20b)."""
        if answer.status == 404 and answer.header("Content-Type").startswith("text/html"):
            return "keys-fetch-blocked"
        return None

    # -- deep linking ------------------------------------------------------------------------------

    # Captures 27-dl-single-200 and 27-dl-multi-200-and-decimal.
    most_points: ClassVar[int] = int(_MOST_POINTS)

    def content_rules(self, said: DeepLinkingSettings) -> ContentRules:
        """One item fills in a form, several a list to confirm; dates are dropped (capture 02)."""
        hints = frozenset({ContentHint.CONFIRM_THERE, ContentHint.DATES_STAY_HERE})
        return replace(super().content_rules(said), hints=hints)

    def content_item(self, item: ContentItem) -> ContentItem:
        """Without what is dropped (capture 02: dates and windows). Custom parameters are lines `key=value`:
        a line break in a value makes a stray line, and a key with other characters than these arrives twice
        (capture 27-dl-single-custom-odd)."""
        custom = {
            _NOT_IN_A_KEY.sub("_", key.lower()): " ".join(value.split()) for key, value in item.custom.items()
        }
        return replace(
            super().content_item(item),
            custom=custom,
            available=Period(),
            submission=Period(),
            new_window=False,
        )

    # -- dynamic registration ----------------------------------------------------------------------

    # Site administration > Plugins > External tool > Manage tools: "Tool URL", "Add LTI Advantage". The card is
    # pending until somebody activates it; courses show the tool only when it is switched on there (capture 01).
    registration_place: ClassVar[str] = "manage-tools-url"
    steps_after_registration: ClassVar[tuple[str, ...]] = ("activate-card", "show-in-chooser", "open-once")

    def tool_domain(self, launch_url: str) -> str:
        """It compares with the launch address without "www." (lib.php, lti_get_domain_from_url; src)."""
        return super().tool_domain(launch_url).removeprefix("www.")
