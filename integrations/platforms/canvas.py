"""Canvas, hosted and self-hosted. Read in its source and documentation, not run (paths are Canvas's own)."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar
from urllib.parse import urlsplit

from integrations.platforms.base import Platform, timestamp_text
from integrations.terms import GradingProgress, Outcome, Score, SentScore

_SUBMISSION = "https://canvas.instructure.com/lti/submission"
_HOSTED = ".instructure.com"


class Canvas(Platform):
    kind: ClassVar[str] = "canvas"
    title: ClassVar[str] = "Canvas"
    # request_throttle.rb: about 12 calls in flight fill the bucket of a client id, all its schools together.
    max_parallel: ClassVar[int] = 2
    placement_claim: ClassVar[str] = "https://www.instructure.com/placement"
    # Registered as `observees=$com.instructure.User.observees` (tools_variable_substitutions.md).
    mentor_custom_key: ClassVar[str | None] = "observees"
    # config/security.yml: self-hosted installations share the default `lti_iss` with the hosted service.
    issuer_is_shared: ClassVar[bool] = True
    # A column made by the tool is a new assignment in the teacher's course (line_items_controller.rb), and
    # one with the link's id is refused for navigation links.
    line_item_with_resource_link: ClassVar[bool] = False
    # scores_controller.rb, gradebook_services.rb, and bodies recorded by others (UBC WebWork, WikiEdu).
    words: ClassVar[tuple[tuple[int, str, Outcome], ...]] = (
        (422, "still unpublished", Outcome.WAITING_FOR_PUBLISH),
        (422, "not a student", Outcome.NOT_GRADABLE),
        (422, "course has concluded", Outcome.CONTEXT_CLOSED),
        (404, "specified resource does not exist", Outcome.CONTEXT_CLOSED),
        (422, "maximum number of allowed attempts", Outcome.LOCKED),
        (422, "cannot be changed at this time", Outcome.LOCKED),
        (400, "before last updated timestamp", Outcome.FRESH_TIMESTAMP),
        (401, "invalid developer key", Outcome.MISCONFIGURED),
        (401, "access token not linked to a tool", Outcome.MISCONFIGURED),
    )

    def known_endpoints(self, base: str) -> dict[str, str]:
        """lti_launch_overview.md and lti_dev_key_config.md. A host of our own naming may be anybody's
        Canvas, so its issuer must be given."""
        host = urlsplit(base).hostname or ""
        token_url = f"{base}/login/oauth2/token"
        if not host.endswith(_HOSTED):
            return {
                "auth_url": f"{base}/api/lti/authorize_redirect",
                "token_url": token_url,
                "jwks_url": f"{base}/api/lti/security/jwks",
            }
        environment = next((name for name in (".beta", ".test") if host.endswith(name + _HOSTED)), "")
        sso = f"https://sso{environment}.canvaslms.com/api/lti"
        return {
            "issuer": f"https://canvas{environment}{_HOSTED}",
            "auth_url": f"{sso}/authorize_redirect",
            "token_url": token_url,
            "jwks_url": f"{sso}/security/jwks",
        }

    def score_body(
        self, score: Score, *, sent: SentScore | None, now: datetime, keep_teacher_grade: bool = False
    ) -> dict[str, Any]:
        """A new attempt only for new work, and no erased grade (scores_controller.rb).

        Each POST is an attempt unless `new_submission` is false; a score that is not final erases the
        existing one unless `preserve_score` is true; `submittedAt` may not lie in the future.
        """
        body = super().score_body(score, sent=sent, now=now)
        body["submission"] = {"submittedAt": timestamp_text(min(score.submitted_at, now))}
        extension: dict[str, Any] = {
            "new_submission": sent is None or sent.submitted_at != score.submitted_at,
        }
        if score.grading_progress is not GradingProgress.FULLY_GRADED:
            extension["preserve_score"] = True
        if keep_teacher_grade:
            # It keeps any existing grade, our own too: only for who asks.
            extension["prioritize_non_tool_grade"] = True
        body[_SUBMISSION] = extension
        return body

    def comment(self, score: Score, sent: SentScore | None) -> str | None:
        """Only a changed one: each POST with a comment adds another to the submission."""
        return None if sent is not None and sent.comment == score.comment else score.comment
