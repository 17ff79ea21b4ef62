"""D2L Brightspace. Addresses from its "LTI Advantage" registration page; answers as other tools met them."""

from __future__ import annotations

from typing import ClassVar

from integrations.platforms.base import Platform
from integrations.terms import Outcome


class Brightspace(Platform):
    kind: ClassVar[str] = "brightspace"
    title: ClassVar[str] = "Brightspace"
    # Recorded by hypothesis/lms (#5333): the person left the course, or the site.
    words: ClassVar[tuple[tuple[int, str, Outcome], ...]] = (
        (403, "user in requested score is not enrolled", Outcome.NOT_GRADABLE),
        (404, "user in requested score does not exist", Outcome.NOT_GRADABLE),
    )

    def known_endpoints(self, base: str) -> dict[str, str]:
        """Tokens come from one place for all schools, under an audience that is not their address."""
        return {
            "issuer": base,
            "auth_url": f"{base}/d2l/lti/authenticate",
            "token_url": "https://auth.brightspace.com/core/connect/token",
            "jwks_url": f"{base}/d2l/.well-known/jwks",
            "token_audience": "https://api.brightspace.com/auth/token",
        }

    # -- dynamic registration ----------------------------------------------------------------------

    # Admin Tools > Manage Extensibility > LTI Advantage > Register Tool: opens a new tab, sends no token, and
    # leaves the registration disabled and without a deployment (openwebwork/webwork2#2993).
    registration_place: ClassVar[str] = "register-tool"
    steps_after_registration: ClassVar[tuple[str, ...]] = (
        "enable-registration",
        "add-deployment",
        "open-once",
    )
