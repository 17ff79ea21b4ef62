"""Open edX: the LTI consumer XBlock (lti_consumer/lti_1p3/extensions/rest_framework, plugin/urls.py)."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import ClassVar

from integrations.platforms.base import Platform, whole_points
from integrations.terms import (
    ContentHint,
    ContentRules,
    DeepLinkingSettings,
    Outcome,
)


class OpenEdx(Platform):
    kind: ClassVar[str] = "open-edx"
    title: ClassVar[str] = "Open edX"
    # In its "programmatic" mode no column exists until the tool makes one, and a grade reaches the
    # gradebook only from the column that carries the launch's resource link (tried with 11.4.4).
    creates_line_items: ClassVar[bool] = True
    # models.py, LtiAgsScore: a float, shown with the maximum it came with. views.py cuts the list off at `limit`
    # and tells of no next page.
    result_decimals: ClassVar[int | None] = 2
    # authentication.py has no challenge header, so the framework turns its 401 into 403.
    expired_statuses: ClassVar[frozenset[int]] = frozenset({401, 403})
    words: ClassVar[tuple[tuple[int, str, Outcome], ...]] = (
        (400, "score already exists for the provided timestamp", Outcome.FRESH_TIMESTAMP),
        (400, "timestamp can only be updated to a later point in time", Outcome.FRESH_TIMESTAMP),
        (403, "permission", Outcome.MISCONFIGURED),
        (403, "token", Outcome.REAUTHENTICATE),
    )

    def known_endpoints(self, base: str) -> dict[str, str]:
        """Client id, token and key set addresses belong to each block and stand in the studio."""
        return {"issuer": base, "auth_url": f"{base}/api/lti_consumer/v1/launch/"}

    def column_maximum(self, wanted: Decimal) -> Decimal:
        """serializers.py: an integer (99.5 was answered with 400)."""
        return whole_points(super().column_maximum(wanted))

    # -- dynamic registration ----------------------------------------------------------------------

    # lti_consumer has no address for it: an author copies each block's addresses (plugin/urls.py).
    registration_place: ClassVar[str] = ""

    # -- deep linking ------------------------------------------------------------------------------

    # plugin/views.py, deep_linking_response_endpoint: an answer first erases what was chosen before.
    takes_empty_answer: ClassVar[bool] = False

    def content_rules(self, said: DeepLinkingSettings) -> ContentRules:
        """One item, because several would share the block's one resource link. The maximum is the weight of the
        block; it uses an item's address and custom parameters only (lti_1p3/consumer.py,
        set_dl_content_launch_parameters), though it stores the rest."""
        hints = {ContentHint.REPLACES, ContentHint.POINTS_SET_THERE, ContentHint.DATES_STAY_HERE}
        return replace(super().content_rules(said), multiple=False, hints=frozenset(hints))
