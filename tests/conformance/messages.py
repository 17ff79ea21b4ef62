"""Honest messages of each type that this tool accepts, as claims to be changed and signed."""

from __future__ import annotations

from typing import Any

from tests.fake_platform import ADMINISTRATOR, AGS, LTI, FakePlatform

DEEP_LINKING = "https://purl.imsglobal.org/spec/lti-dl/claim/deep_linking_settings"
TYPES = ["resource link", "deep linking", "submission review", "data privacy"]
WHO = {
    "resource link": "parent",
    "deep linking": "teacher",
    "submission review": "teacher",
    "data privacy": "admin",
}


def message(platform: FakePlatform, kind: str, nonce: str, **changes: Any) -> dict[str, Any]:
    """The claims of an honest message of that type; `...` as a value leaves a claim out."""
    by_type: dict[str, dict[str, Any]] = {
        "resource link": {},
        "deep linking": {
            LTI + "message_type": "LtiDeepLinkingRequest",
            LTI + "resource_link": ...,
            DEEP_LINKING: {
                "deep_link_return_url": f"{platform.issuer}/content-return",
                "accept_types": ["ltiResourceLink", "link"],
                "accept_presentation_document_targets": ["iframe", "window"],
                "accept_multiple": True,
                "data": "csrf-token:7f3a",
            },
        },
        "submission review": {
            LTI + "message_type": "LtiSubmissionReviewRequest",
            LTI + "for_user": {"user_id": "u-parent"},
        },
        "data privacy": {
            LTI + "message_type": "DataPrivacyLaunchRequest",
            LTI + "roles": [ADMINISTRATOR],
            LTI + "for_user": {"user_id": "u-parent"},
            LTI + "resource_link": ...,
            LTI + "context": ...,
            AGS + "claim/endpoint": ...,
        },
    }
    return platform.claims(WHO[kind], "demo", nonce, **{**by_type[kind], **changes})
