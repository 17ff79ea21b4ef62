"""Blackboard Learn. One issuer for all schools; the deployment id tells which one it is."""

from __future__ import annotations

from typing import ClassVar

from integrations.platforms.base import Platform
from integrations.terms import Outcome, Score, SentScore

_GATEWAY = "https://developer.blackboard.com/api/v1/gateway"


class Blackboard(Platform):
    kind: ClassVar[str] = "blackboard"
    title: ClassVar[str] = "Blackboard"
    issuer_is_shared: ClassVar[bool] = True
    # Recorded by hypothesis/lms (#5333).
    words: ClassVar[tuple[tuple[int, str, Outcome], ...]] = (
        (400, "user could not be found", Outcome.NOT_GRADABLE),
    )

    def known_endpoints(self, base: str) -> dict[str, str]:
        """The key set's address holds the application id of the developer portal, so it must be given."""
        return {
            "issuer": "https://blackboard.com",
            "auth_url": f"{_GATEWAY}/oidcauth",
            "token_url": f"{_GATEWAY}/oauth2/jwttoken",
        }

    def comment(self, score: Score, sent: SentScore | None) -> str | None:
        """Feedback is shown as HTML there: a bare line break would vanish."""
        return score.comment and score.comment.replace("\n", "<br/>")

    # -- dynamic registration ----------------------------------------------------------------------

    # Client ids come from its developer portal; it has no dynamic registration.
    registration_place: ClassVar[str] = ""
